// The state of the peak shaving scene: workers of this tab with their pace, the group's backlog as the broker tells it, and
// what was packed last. Drawn per frame, however many orders come.

import { signal } from '@preact/signals'
import type { GroupDetail, WebPushConsumer, WebTopic } from '../../../web-client/index.ts'
import { createFrameBatch } from '../../shared/frame-batch.ts'
import { type ChartData, createChartData } from '../../shared/live-chart.tsx'
import { createFailure, createNames, opening, repeat, type Sale, sleep } from '../sale.ts'
import { texts } from '../scene.tsx'
import { hireWorker, type Order, sendBurst } from './peak.ts'

/** Orders a second and worker. */
export const paces = ['10', '100', '500', '2000'] as const
export type Pace = (typeof paces)[number]

export interface Packed {
  readonly messageId: string
  readonly id: string
  readonly item: string
  readonly worker: number
  readonly attempt: number
}

export interface Worker {
  readonly number: number
  readonly packedCount: number
}

/** Workers of one client: a tab, or a device at its relay. */
export interface Crew {
  readonly client: string
  readonly workerCount: number
  readonly inFlight: number
}

const items = ['phone', 'book', 'toy', 'tea'] as const
const beltLength = 24
/** Nobody reads names that change faster. */
const beltMs = 100
export const chartSpanMs = 60_000
const pollMs = 250

export type PeakModel = ReturnType<typeof createPeakModel>

export function createPeakModel(sale: Sale) {
  const { room } = sale
  const group = room.nameOf('warehouse')
  const failure = createFailure()
  const pace = signal<Pace>('100')
  const burstSize = signal('5000')
  const workers = signal<readonly Worker[]>([])
  const crews = signal<readonly Crew[]>([])
  const belt = signal<readonly Packed[]>([])
  const backlog = signal(0)
  const inFlight = signal(0)
  const perSecond = signal(0)
  const packedCount = signal(0)
  const sentCount = signal(0)
  const storedCount = signal(0)
  const isSending = signal(false)
  const chart: ChartData = createChartData(2, Math.ceil(chartSpanMs / pollMs) + 40)
  const consumers = new Map<number, WebPushConsumer<Order>>()
  const nextName = createNames()
  const opened = opening(failure, () => room.openTopic<Order>('orders', { queueCount: 6 }))
  let workerNumber = 0
  let latest: readonly Packed[] = []
  let beltShownMs = 0
  let beltTimer: ReturnType<typeof setTimeout> | undefined

  const batch = createFrameBatch<Packed>((packed) => {
    packedCount.value += packed.length
    latest = [...packed.slice(-beltLength).reverse(), ...latest].slice(0, beltLength)
    const now = performance.now()
    if (now - beltShownMs >= beltMs) {
      beltShownMs = now
      belt.value = latest
    } else {
      // The last ones are shown, too.
      beltTimer ??= setTimeout(() => {
        beltTimer = undefined
        belt.value = latest
      }, beltMs)
    }
    const counts = new Map<number, number>()
    for (const { worker } of packed) counts.set(worker, (counts.get(worker) ?? 0) + 1)
    workers.value = workers.value.map((worker) => {
      const more = counts.get(worker.number)
      return more === undefined ? worker : { ...worker, packedCount: worker.packedCount + more }
    })
    const last = packed.at(-1)
    if (last !== undefined) sale.saw({ messageId: last.messageId, home: room.home, label: last.id })
  })

  function startWorker(orders: WebTopic<Order>): void {
    const number = ++workerNumber
    const turn = createPacer(() => Number(pace.value))
    consumers.set(number, hireWorker(orders, group, async ({ messageId, value, attempt }) => {
      await turn()
      batch.add({ messageId, id: value.id, item: value.item, worker: number, attempt })
    }))
    workers.value = [...workers.value, { number, packedCount: 0 }]
  }

  const stored = createFrameBatch<number>((counts) => {
    storedCount.value += counts.length
  })

  void failure.during(async () => {
    const orders = await opened
    for (let count = 0; count < 3; count++) startWorker(orders)
  })

  let lastPacked = 0
  let lastMs = performance.now()
  repeat(pollMs, async () => {
    const now = performance.now()
    if (now - lastMs >= 950) {
      perSecond.value = Math.round(((packedCount.peek() - lastPacked) * 1000) / (now - lastMs))
      lastPacked = packedCount.peek()
      lastMs = now
    }
    const detail = await room.mq.adminOf(room.home).describeGroup(group)
    backlog.value = detail.queues.reduce((sum, queue) => sum + queue.backlog, 0)
    inFlight.value = detail.queues.reduce((sum, queue) => sum + queue.inFlight, 0)
    crews.value = crewsOf(detail)
    chart.add(Date.now(), [backlog.peek(), perSecond.peek()])
  })

  return {
    failure, pace, burstSize, workers, crews, belt, backlog, inFlight, perSecond, packedCount, sentCount, storedCount,
    isSending, chart,
    hire: () => failure.during(async () => startWorker(await opened)),
    async dismiss(): Promise<void> {
      const last = workers.value.at(-1)
      if (last === undefined) return
      workers.value = workers.value.slice(0, -1)
      const consumer = consumers.get(last.number)
      consumers.delete(last.number)
      await failure.during(() => consumer?.close())
    },
    async burst(): Promise<void> {
      const size = Number(burstSize.value)
      await failure.during(async () => {
        if (!Number.isInteger(size) || size < 1 || size > 100_000) throw new RangeError(texts().peak.sizeRange)
        isSending.value = true
        sentCount.value = 0
        storedCount.value = 0
        const orders = counted(await opened, () => stored.add(1))
        await sendBurst(orders, makeOrders(size, nextName, () => sentCount.value++))
      })
      isSending.value = false
    },
  }
}

/** The same topic, whose receipts are counted as they come. */
function counted(topic: WebTopic<Order>, stored: () => void): WebTopic<Order> {
  return Object.assign(Object.create(topic) as WebTopic<Order>, {
    ready: () => topic.ready(),
    send(...args: Parameters<WebTopic<Order>['send']>) {
      const sending = topic.send(...args)
      sending.then(stored, () => {})
      return sending
    },
  })
}

function* makeOrders(count: number, nextName: () => string, made: () => void): Generator<Order> {
  for (let index = 0; index < count; index++) {
    made()
    const item = items[index % items.length] as string
    yield { id: nextName(), item, price: 10 + (index % 90) }
  }
}

function crewsOf({ members }: GroupDetail): Crew[] {
  const crews = new Map<string, { workerCount: number; inFlight: number; client: string }>()
  for (const { clientId, clientName, inFlight } of members) {
    const crew = crews.get(clientId) ?? { workerCount: 0, inFlight: 0, client: clientName === '' ? clientId : clientName }
    crew.workerCount++
    crew.inFlight += inFlight
    crews.set(clientId, crew)
  }
  return [...crews.values()]
}

/** Resolves so many times a second; catches up what a slow timer missed, up to a twentieth of a second. */
function createPacer(perSecond: () => number): () => Promise<void> {
  let nextMs = 0
  return async () => {
    const now = performance.now()
    nextMs = Math.max(nextMs, now - 50) + 1000 / perSecond()
    if (nextMs - now > 2) await sleep(nextMs - now)
  }
}

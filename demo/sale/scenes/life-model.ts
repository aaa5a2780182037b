// The state of the ordered life scene: orders by the queue they lie in, how far each is, and the dead letters.

import { signal } from '@preact/signals'
import { createFrameBatch } from '../../shared/frame-batch.ts'
import { createFailure, createNames, opening, repeat, type Sale, sleep } from '../sale.ts'
import { newReader } from '../room.ts'
import { deskSettings, openDesk, type OrderStep, placeOrder, type Step } from './life.ts'

export type StepState = 'working' | 'done' | 'retrying' | 'dead'

export interface LifeOrder {
  readonly id: string
  readonly queueId: number
  readonly isBroken: boolean
  readonly steps: Readonly<Partial<Record<Step, KnownStep>>>
}

export interface KnownStep {
  readonly state: StepState
  readonly attempt: number
  readonly messageId: string
}

export interface DeadStep {
  readonly messageId: string
  readonly order: string
  readonly step: Step
}

export const queueCount = 4
const orderCountMax = 40
const workMs = 450

/** What a desk did, told to everybody in the room: steps of one order are worked on in several tabs. */
interface Change {
  readonly message: OrderStep
  readonly messageId: string
  readonly queueId: number
  readonly attempt: number
  readonly state: StepState
}

type LogEntry = Change | { readonly isMended: boolean }

export type LifeModel = ReturnType<typeof createLifeModel>

export function createLifeModel(sale: Sale) {
  const { room } = sale
  const admin = room.mq.adminOf(room.home)
  const group = room.nameOf('desk')
  const failure = createFailure()
  const orders = signal<readonly LifeOrder[]>([])
  const dead = signal<readonly DeadStep[]>([])
  const isMended = signal(false)
  const nextName = createNames()
  const opened = opening(failure, () => room.openTopic<OrderStep>('life', { messageType: 'FIFO', queueCount }))
  const logOpened = opening(failure, () => room.openTopic<LogEntry>('desk-log', { queueCount: 1, retention: '1h', trace: 0 }))

  const batch = createFrameBatch<Change>((changes) => {
    const byId = new Map(orders.value.map((order) => [order.id, order]))
    for (const { message, messageId, queueId, attempt, state } of changes) {
      const { order: id, step, isBroken } = message
      const known = byId.get(id) ?? { id, queueId, isBroken, steps: {} }
      byId.set(id, { ...known, steps: { ...known.steps, [step]: { state, attempt, messageId } } })
    }
    orders.value = [...byId.values()].slice(-orderCountMax)
  })

  void opening(failure, async () => {
    const [life, log] = await Promise.all([opened, logOpened])
    await admin.configureGroup(group, deskSettings)
    const reader = log.consume({ group: newReader(), mode: 'BROADCASTING', from: { timestampMs: Date.now() - 10 * 60_000 } })
    void reader.run(({ value }) => {
      if ('isMended' in value) isMended.value = value.isMended
      else batch.add(value)
    })
    openDesk(life, group, async ({ value, messageId, queueId, attempt }) => {
      const change = (state: StepState): void => {
        // What can't be told is not shown; the work goes on.
        log.send({ message: value, messageId, queueId, attempt, state }).catch(() => {})
      }
      change('working')
      await sleep(workMs)
      if (value.isBroken && value.step === 'shipped' && !isMended.value) {
        change(attempt >= deskSettings.maxAttempts ? 'dead' : 'retrying')
        throw new Error(`the address of order ${value.order} is unreadable`)
      }
      change('done')
      sale.saw({ messageId, home: room.home, label: `${value.order} ${value.step}` })
    })
  })

  repeat(700, async () => {
    const letters = await admin.deadLetters(group)
    dead.value = letters.map(({ messageId, body }) => {
      const { order, step } = JSON.parse(new TextDecoder().decode(body)) as OrderStep
      return { messageId, order, step }
    })
  })

  return {
    failure, orders, dead, isMended,
    mend: () => failure.during(async () => (await logOpened).send({ isMended: !isMended.value })),
    place: (isBroken: boolean, count = 1) => failure.during(async () => {
      const life = await opened
      await Promise.all(Array.from({ length: count }, () => placeOrder(life, nextName(), isBroken)))
    }),
    sendBack: (messageIds: readonly string[]) => failure.during(async () => {
      await admin.resendDeadLetters(group, { messageIds })
      dead.value = dead.value.filter(({ messageId }) => !messageIds.includes(messageId))
    }),
  }
}

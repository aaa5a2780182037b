// The state of the price board: what it asked for, the prices it shows, and the market of this tab.

import { signal } from '@preact/signals'
import type { Filter, From, WebPushConsumer } from '../../../web-client/index.ts'
import { createFrameBatch } from '../../shared/frame-batch.ts'
import { createFailure, opening, type Sale, sleep } from '../sale.ts'
import { openBoard, type Price, tellPrice } from './prices.ts'

export const goods = ['phone', 'camera', 'book', 'toy', 'tea', 'lamp', 'shoes', 'bike'] as const
export type FilterKind = 'all' | 'tags' | 'sql'
export type Start = 'latest' | 'minute' | 'earliest' | 'time'

export interface BoardRow {
  readonly item: string
  readonly price: number
  readonly was: number
  readonly direction: 'up' | 'down' | 'same'
  readonly messageId: string
  readonly storedMs: number
}

type Told = Omit<BoardRow, 'direction'>

export type PricesModel = ReturnType<typeof createPricesModel>

export function createPricesModel(sale: Sale) {
  const { room } = sale
  const failure = createFailure()
  const market = createFailure()
  const filterKind = signal<FilterKind>('all')
  const tags = signal('phone || camera')
  const sql = signal("off >= 30 AND TAGS <> 'tea'")
  const start = signal<Start>('latest')
  /** As the field for date and time has it. */
  const time = signal(localTime(Date.now() - 5 * 60_000))
  const rows = signal<readonly BoardRow[]>([])
  const readCount = signal(0)
  const isOpen = signal(false)
  const isRunning = signal(false)
  const perSecond = signal<'5' | '50' | '500'>('5')
  const opened = opening(failure, () => room.openTopic<Price>('prices', { queueCount: 2 }))
  let board: WebPushConsumer<Price> | undefined

  const batch = createFrameBatch<Told>((told) => {
    const byItem = new Map(rows.value.map((row) => [row.item, row]))
    for (const one of told) {
      const before = byItem.get(one.item)?.price ?? one.price
      const direction = one.price > before ? 'up' : one.price < before ? 'down' : byItem.get(one.item)?.direction ?? 'same'
      byItem.set(one.item, { ...one, direction })
    }
    rows.value = [...byItem.values()].sort((a, b) => a.item.localeCompare(b.item))
    readCount.value += told.length
    const last = told.at(-1)
    if (last !== undefined) sale.saw({ messageId: last.messageId, home: room.home, label: last.item })
  })

  async function apply(): Promise<void> {
    const closing = board
    board = undefined
    isOpen.value = false
    await failure.during(async () => {
      await closing?.close()
      const prices = await opened
      rows.value = []
      readCount.value = 0
      board = openBoard(prices, filterOf(), fromOf(start.value, time.value), ({ value, messageId, storedMs }) => {
        batch.add({ ...value, messageId, storedMs })
      })
      await board.subscribed
      isOpen.value = true
    })
  }

  function filterOf(): Filter {
    if (filterKind.value === 'sql') return { sql: sql.value }
    return filterKind.value === 'tags' ? tags.value : '*'
  }

  async function runMarket(): Promise<void> {
    isRunning.value = !isRunning.value
    await market.during(async () => {
      const prices = await opened
      const last = new Map<string, number>()
      for (let tick = 0; isRunning.value; tick++) {
        const rate = Number(perSecond.value)
        const atOnce = Math.max(1, Math.round(rate / 50))
        await Promise.all(Array.from({ length: atOnce }, (_, index) => tellPrice(prices, nextPrice(tick * atOnce + index, last))))
        await sleep((1000 * atOnce) / rate)
      }
    })
    isRunning.value = false
  }

  void apply()
  return {
    failure, market, filterKind, tags, sql, start, time, rows, readCount, isOpen, isRunning, perSecond, apply, runMarket,
  }
}

function fromOf(start: Start, time: string): From {
  if (start === 'time') return { timestampMs: new Date(time).getTime() }
  return start === 'minute' ? { timestampMs: Date.now() - 60_000 } : start
}

/** To the second, in the visitor's own time. */
function localTime(timeMs: number): string {
  return new Date(timeMs - new Date(timeMs).getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

/** Prices wander between half of what they were and what they were. */
function nextPrice(tick: number, last: Map<string, number>): Price {
  const index = Math.floor(Math.random() * goods.length)
  const item = goods[index] ?? 'tea'
  const was = 20 + index * 35
  const before = last.get(item) ?? was * 0.8
  const price = Math.round(Math.min(was, Math.max(was / 2, before + was * 0.2 * Math.sin(tick + index) * Math.random())))
  last.set(item, price)
  return { item, price, was }
}

// The state of the unpaid orders: which wait, which were paid in time, which were cancelled.

import { effect, signal } from '@preact/signals'
import { createFailure, createNames, opening, repeat, type Sale, textOf } from '../sale.ts'
import { type Deadline, openCanceller, pay, startDeadline } from './unpaid.ts'

export type UnpaidState = 'waiting' | 'paid' | 'cancelled'

export interface UnpaidOrder {
  readonly id: string
  readonly state: UnpaidState
  readonly madeMs: number
  readonly dueMs: number
  readonly recallHandle: string | undefined
  readonly messageId: string | undefined
  readonly error?: string
}

export const delays = ['5s', '15s', '60s'] as const
export type Delay = (typeof delays)[number]
const orderCountMax = 24

export type UnpaidModel = ReturnType<typeof createUnpaidModel>

export function createUnpaidModel(sale: Sale) {
  const { room } = sale
  const failure = createFailure()
  // Over a reload: who pays needs the handle, and who waits wants to see what becomes of it.
  const keptUnder = `pocketmq-sale-unpaid-${room.name}`
  const orders = signal<readonly UnpaidOrder[]>(readKept(keptUnder))
  effect(() => writeKept(keptUnder, orders.value))
  const delay = signal<Delay>('15s')
  const nowMs = signal(Date.now())
  const nextName = createNames()
  const shop = room.tabName.replaceAll(/\W/g, '')
  const opened = opening(failure, () => room.openTopic<Deadline>('deadlines'))

  void failure.during(async () => {
    openCanceller(await opened, shop, ({ value: { order }, messageId, storedMs }) => {
      // Of this tab's life before a reload, it may not be known any more.
      const known = orders.value.some(({ id }) => id === order)
      if (!known) add({ id: order, state: 'cancelled', madeMs: storedMs, dueMs: storedMs, recallHandle: undefined, messageId })
      change(order, { state: 'cancelled', messageId })
      sale.saw({ messageId, home: room.home, label: order })
    })
  })
  repeat(200, () => {
    if (orders.value.some(({ state }) => state === 'waiting')) nowMs.value = Date.now()
  })

  function add(order: UnpaidOrder): void {
    orders.value = [order, ...orders.value].slice(0, orderCountMax)
  }

  function change(id: string, changes: Partial<UnpaidOrder>): void {
    orders.value = orders.value.map((order) => (order.id === id ? { ...order, ...changes } : order))
  }

  return {
    failure, orders, delay, nowMs,
    place: () => failure.during(async () => {
      const order = nextName()
      const madeMs = Date.now()
      const deadlines = await opened
      add({ id: order, state: 'waiting', madeMs, dueMs: madeMs + Number.parseInt(delay.value, 10) * 1000, recallHandle: undefined,
        messageId: undefined })
      const { recallHandle, deliverMs, messageId } = await startDeadline(deadlines, { order, shop }, delay.value)
      change(order, { recallHandle, messageId, ...(deliverMs === undefined ? {} : { dueMs: deliverMs }) })
    }),
    async pay({ id, recallHandle }: UnpaidOrder): Promise<void> {
      if (recallHandle === undefined) return
      try {
        await pay(await opened, recallHandle)
        change(id, { state: 'paid' })
      } catch (error) {
        change(id, { error: textOf(error) })
      }
    },
  }
}

/** Those of this tab that wait. */
function readKept(key: string): readonly UnpaidOrder[] {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? '[]') as readonly UnpaidOrder[]
  } catch {
    return []
  }
}

function writeKept(key: string, orders: readonly UnpaidOrder[]): void {
  const waiting = orders.filter(({ state, recallHandle }) => state === 'waiting' && recallHandle !== undefined)
  try {
    sessionStorage.setItem(key, JSON.stringify(waiting))
  } catch {
    // Storage is switched off: they last as long as the page.
  }
}

// The state of the ordered life scene: orders by the queue they lie in, how far each is, and the dead letters.

import { signal } from '@preact/signals'
import { createFrameBatch } from '../../shared/frame-batch.ts'
import { createFailure, createNames, repeat, type Sale, sleep } from '../sale.ts'
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

interface Change {
  readonly message: OrderStep
  readonly messageId: string
  readonly queueId: number
  readonly attempt: number
  readonly state: StepState
}

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
  const opened = room.openTopic<OrderStep>('life', { messageType: 'FIFO', queueCount })

  const batch = createFrameBatch<Change>((changes) => {
    const byId = new Map(orders.value.map((order) => [order.id, order]))
    for (const { message, messageId, queueId, attempt, state } of changes) {
      const { order: id, step, isBroken } = message
      const known = byId.get(id) ?? { id, queueId, isBroken, steps: {} }
      byId.set(id, { ...known, steps: { ...known.steps, [step]: { state, attempt, messageId } } })
    }
    orders.value = [...byId.values()].slice(-orderCountMax)
  })

  void failure.during(async () => {
    const life = await opened
    await admin.configureGroup(group, deskSettings)
    openDesk(life, group, async ({ value, messageId, queueId, attempt }) => {
      const change = (state: StepState): void => batch.add({ message: value, messageId, queueId, attempt, state })
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

// The state of the trace scene: the id that is asked about and what the broker told of it.

import { effect, signal } from '@preact/signals'
import type { Home, Timeline } from '../../../web-client/index.ts'
import { createFailure, type Sale } from '../sale.ts'
import { traceOf } from './trace.ts'

export type TraceModel = ReturnType<typeof createTraceModel>

export function createTraceModel(sale: Sale) {
  const { room } = sale
  const failure = createFailure()
  const messageId = signal('')
  const home = signal<Home>(room.home)
  const timelines = signal<readonly Timeline[] | undefined>(undefined)

  const ask = () => failure.during(async () => {
    timelines.value = undefined
    timelines.value = await traceOf(room.mq, home.peek(), messageId.peek().trim())
  })
  effect(() => {
    const traced = sale.traced.value
    if (traced === undefined) return
    messageId.value = traced.messageId
    home.value = traced.home
    void ask()
  })
  return { failure, messageId, home, timelines, ask }
}

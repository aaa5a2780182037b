// Many delayed messages are scheduled, none due before all are; then 100,000 come due each second, and a group consumer
// takes and acks them. One that arrives early, twice or never fails the case. Server, consumer and this scenario look at
// the same clock of one machine. The order matters: where all have the same delay they come due as they were scheduled,
// and a store by time is only appended to; deadlines of all kinds are scattered, and each touches a page of its own.

import { setTimeout as delay } from 'node:timers/promises'

import { percentile } from '../stats.ts'
import { startStopwatch } from '../stopwatch.ts'
import { topicName } from './scenario.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'
import type { Scheduler } from '../systems/system.ts'

/** How many come due each millisecond: 100,000 a second. */
export const dueCountPerMs = 100
const inFlightCount = 4000
/** The part of the messages that is scheduled and delivered beforehand, to warm up and to see how fast it goes. */
const warmUpShare = 1 / 20
const warmUpLeadMs = 2500
/** The first is due after this many times what the scheduling takes at the pace of the warm-up, and a little more. */
const leadFactor = 2.5
const leadMsMin = 3000
/**
 * How far apart in time two messages are that are scheduled one after the other, in messages. Far apart scatters them:
 * a number that has no factor in common with the counts of messages.
 */
export const inOrder = 1
export const scattered = 618_033

export const delayed = createDelayed('delayed', inOrder, 'all with one delay, so due in the order of scheduling')
export const delayedScattered = createDelayed('delayed-scattered', scattered, 'due in quite another order')

function createDelayed(name: 'delayed' | 'delayed-scattered', stride: number, order: string): Scenario {
  return {
    name,
    title: `delayed messages, ${order}: scheduled first, then 100,000 due each second; RSS with all of them pending`,
    bodySizes: [100],
    figures: [
      'scheduledPerSecond', 'scheduleMicros', 'rssMib', 'firedPerSecond', 'fireMicros', 'lateP50Ms', 'lateP99Ms', 'loadPercent',
    ],
    anchors: [{ system: 'lmdb', figure: 'fireMicros' }],
    measure: (load) => measure(load, stride),
  }
}

async function measure({ client, server, job, pace, body }: ServedLoad, stride: number): Promise<Figures> {
  const { openScheduler, openDueConsumer } = client
  if (openScheduler === undefined || openDueConsumer === undefined) throw new Error(`${job.system} delays no messages`)
  let wave: Wave | undefined
  const onFailed = (error: unknown): void => wave?.fail(error)
  await client.prepare?.(topicName, 'queue')
  await openDueConsumer({
    topic: topicName,
    onMessage: (length, deliverMs, storedMs) => {
      if (length !== job.bodyBytes) onFailed(new Error(`a body of ${length} bytes arrived`))
      wave?.arrived(deliverMs, storedMs)
    },
    onFailed,
  })
  const scheduler = await openScheduler({ topic: topicName, body, onScheduled: () => wave?.scheduled(), onFailed })

  const warmUpCount = Math.ceil(pace.backlogCount * warmUpShare)
  wave = new Wave(scheduler, warmUpCount, Date.now() + warmUpLeadMs, stride)
  const startedAt = performance.now()
  await wave.schedule()
  const warmUpMs = performance.now() - startedAt
  await wave.end(pace.drainMsMax)

  const leadMs = leadMsMin + (warmUpMs / warmUpShare) * leadFactor
  wave = new Wave(scheduler, pace.backlogCount, Date.now() + Math.ceil(leadMs), stride)
  const scheduling = startStopwatch(server.pid)
  await wave.schedule()
  const scheduled = scheduling.stop(pace.backlogCount)
  if (Date.now() >= wave.firstDueMs) throw new Error('the first were due before all were scheduled')
  await delay(wave.firstDueMs - Date.now())
  const firing = startStopwatch(server.pid)
  await wave.end(pace.drainMsMax * 4)
  const fired = firing.stop(pace.backlogCount)
  return delayedFigures(scheduled, fired, wave.latenessMs)
}

/** The figures of both parts as those of this scenario; what could not be measured stays out. */
export function delayedFigures(scheduled: Figures, fired: Figures, latenessMs: ArrayLike<number>): Figures {
  const figures = {
    scheduledPerSecond: scheduled.messagesPerSecond,
    scheduleMicros: scheduled.serverMicros,
    rssMib: scheduled.rssMib,
    firedPerSecond: fired.messagesPerSecond,
    fireMicros: fired.serverMicros,
    loadPercent: fired.loadPercent,
    lateP50Ms: percentile(latenessMs, 0.5),
    lateP99Ms: percentile(latenessMs, 0.99),
  }
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined))
}

/** When the message is due that is scheduled as the `index`-th of `count`, after the first: whole milliseconds. */
export function dueAfterMs(index: number, count: number, stride: number): number {
  return Math.floor(((index * stride) % count) / dueCountPerMs)
}

/** So many messages, from their scheduling to their arrival. */
export class Wave {
  readonly firstDueMs: number
  /** Of each that arrived. */
  readonly latenessMs: Float64Array
  readonly #scheduler: Scheduler
  readonly #count: number
  readonly #stride: number
  /**
   * How many have not arrived of those due in each millisecond from the first on. Bodies are alike, so a loss and a
   * duplicate due in the same millisecond are not told apart from two that are well.
   */
  readonly #missingByMs: Int32Array
  readonly #allScheduled = new Ending()
  readonly #allArrived = new Ending()
  #sentCount = 0
  #scheduledCount = 0
  #arrivedCount = 0

  constructor(scheduler: Scheduler, count: number, firstDueMs: number, stride: number) {
    this.#scheduler = scheduler
    this.#count = count
    this.#stride = stride
    this.firstDueMs = firstDueMs
    this.latenessMs = new Float64Array(count)
    this.#missingByMs = new Int32Array(Math.ceil(count / dueCountPerMs))
  }

  /** Sends all, so many in flight; resolves when the server has them. */
  schedule(): Promise<void> {
    while (this.#sentCount < Math.min(inFlightCount, this.#count)) this.#sendNext()
    return this.#allScheduled.promise
  }

  scheduled(): void {
    this.#scheduledCount += 1
    if (this.#sentCount < this.#count) this.#sendNext()
    else if (this.#scheduledCount === this.#count) this.#allScheduled.resolve()
  }

  /** Notes one; `storedMs` is when the server put it into its queue. */
  arrived(deliverMs: number, storedMs: number): void {
    const latenessMs = Date.now() - deliverMs
    if (latenessMs < 0 || storedMs < deliverMs) return this.fail(new Error(`a message came early, by ${-latenessMs} ms`))
    const index = deliverMs - this.firstDueMs
    const missingCount = this.#missingByMs[index]
    if (missingCount === undefined) return this.fail(new Error(`a message came that was due at ${deliverMs}: none was`))
    if (missingCount === 0) return this.fail(new Error('a message came twice'))
    this.#missingByMs[index] = missingCount - 1
    this.latenessMs[this.#arrivedCount++] = latenessMs
    if (this.#arrivedCount === this.#count) this.#allArrived.resolve()
  }

  /** Resolves when all have arrived; rejects when they have not that long after the last was due. */
  async end(drainMsMax: number): Promise<void> {
    const giveUp = (): void => this.fail(new Error(`${this.#arrivedCount} of ${this.#count} delayed messages arrived`))
    const lastDueMs = this.firstDueMs + this.#missingByMs.length
    const timer = setTimeout(giveUp, lastDueMs - Date.now() + drainMsMax)
    try {
      await this.#allArrived.promise
    } finally {
      clearTimeout(timer)
    }
  }

  fail(error: unknown): void {
    this.#allScheduled.reject(error)
    this.#allArrived.reject(error)
  }

  #sendNext(): void {
    const afterMs = dueAfterMs(this.#sentCount++, this.#count, this.#stride)
    this.#missingByMs[afterMs] = (this.#missingByMs[afterMs] ?? 0) + 1
    this.#scheduler.schedule(this.firstDueMs + afterMs)
  }
}

/** Something that ends once, well or badly, and may not be waited for yet when it does. */
class Ending {
  readonly promise: Promise<void>
  resolve = (): void => {}
  reject = (_error: unknown): void => {}

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.promise.catch(() => {})
  }
}

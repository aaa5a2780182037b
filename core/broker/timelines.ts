// What happened to a message, put together when asked: from the message itself, and from the traces that speak of its
// place. A cold path: it awaits the store.

import { toPocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { traceProperty } from '../model/message.ts'
import { checkKey, traceTopic } from '../model/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Timeline, TraceEvent } from '../protocol/frames.ts'
import { RecordBatch } from '../record/record-batch.ts'
import type { Answering } from './answering.ts'
import type { Answer, FoundMessage, QueryTraceRequest } from './door.ts'
import type { Queries } from './queries.ts'
import type { Registry } from './registry.ts'
import type { Topic } from './topic.ts'
import { decodeTraceRecord, isSampled, traceKeyOf, type TraceRun } from './trace-record.ts'
import type { Turn } from './turn.ts'

export interface TimelinesDeps {
  readonly registry: Registry
  readonly queries: Queries
  readonly turn: Turn
  readonly answering: Answering
  readonly clock: Clock
}

export class Timelines {
  readonly #deps: TimelinesDeps

  constructor(deps: TimelinesDeps) {
    this.#deps = deps
  }

  /** Finds messages as QUERY does, and tells of each. */
  query(request: QueryTraceRequest, answer: Answer<readonly Timeline[]>): void {
    const { answering, registry, turn } = this.#deps
    answering.deciding(answer, () => {
      if (request.key !== undefined) checkKey(request.key)
      if (request.topic !== '') registry.topic(request.topic)
      // After the turn, so that what was told before is found.
      turn.after(() => {
        this.#find(request).then(answer, (error: unknown) => answer(toPocketError(error)))
      })
    })
  }

  async #find({ topic: name, messageId, ...query }: QueryTraceRequest): Promise<Timeline[]> {
    const { queries, registry } = this.#deps
    const topics = name === '' ? registry.topics.values() : [registry.topic(name)]
    const found = messageId === undefined
      ? await queries.find(registry.topic(name), { topic: name, messageId, ...query })
      : await queries.findById(topics, messageId)
    const timelines: Timeline[] = []
    for (const message of found) {
      const topic = registry.topics.get(message.topic)
      if (topic !== undefined) timelines.push(await this.#timelineOf(topic, message))
    }
    return timelines
  }

  async #timelineOf(topic: Topic, { queueId, record }: FoundMessage): Promise<Timeline> {
    const { offset, messageId, bornMs, storedMs, properties } = RecordBatch.view(record).messageAt(0, topic.name, queueId)
    const { tracePermille } = topic.config
    const events: TraceEvent[] = [eventOf('born', bornMs)]
    let isTraced = false
    for (const run of await this.#runsAt(topic, queueId, offset, storedMs)) {
      isTraced = true
      if (events.length >= fixedLimits.traceEventCountMax) break
      const { kind, atMs, costMs, group, clientId, attempt, delayMs, sentMs } = run
      if (kind === 'stored' && sentMs > 0) events.push({ ...eventOf('sent', sentMs), clientId })
      events.push({ kind, atMs, costMs, group, clientId, attempt, delayMs })
    }
    // What is known of it anyway.
    if (!isTraced) events.push(eventOf('stored', storedMs))
    return {
      topic: topic.name,
      queueId, offset, messageId, storedMs,
      traceparent: properties?.get(traceProperty) ?? '',
      isTraced: isTraced || isSampled(topic.topicId, queueId, offset, tracePermille),
      events,
    }
  }

  /** What traces tell of one offset, in the order it happened. */
  async #runsAt({ topicId }: Topic, queueId: number, offset: number, storedMs: number): Promise<TraceRun[]> {
    const { queries, registry, clock } = this.#deps
    const traces = registry.topics.get(traceTopic)
    if (traces === undefined) return []
    const runs: TraceRun[] = []
    const key = traceKeyOf(topicId, queueId, offset)
    // Stored times never decrease within a queue, but the wall clock of what comes later may have gone back.
    const toMs = Math.max(clock.now(), traces.queues[0]?.lastStoredMs ?? 0) + 1
    for await (const { record, index } of queries.withKey(traces, key, Math.min(storedMs, toMs), toMs)) {
      const trace = decodeTraceRecord(record.messageAt(index, traceTopic, 0).body)
      if (trace.topicId !== topicId || trace.queueId !== queueId) continue
      for (const run of trace.runs) if (run.offset <= offset && offset < run.offset + run.count) runs.push(run)
      if (runs.length >= fixedLimits.traceEventCountMax) break
    }
    return runs
  }
}

function eventOf(kind: TraceEvent['kind'], atMs: number): TraceEvent {
  return { kind, atMs, costMs: 0, group: '', clientId: '', attempt: 0, delayMs: 0 }
}

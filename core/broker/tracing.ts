// Gathers what happens to messages during a turn, and stores it with that turn's commit, so that what a trace tells did
// happen. It sees runs of offsets, never a message: tracing everything costs little more than tracing nothing.

import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { tagHashOf } from '../model/filter.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { StoreWrite } from '../ports/store.ts'
import { encodeMessage } from '../record/message-codec.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { BrokerCounters } from './stats.ts'
import {
  encodeTraceRecord, isSampled, traceBlockSize, traceKeyOf, type TraceRun, type TraceRunKind,
} from './trace-record.ts'

/** Who sent a batch, and when, for traces. */
export interface Sent {
  readonly clientId: string
  /** By the client's own clock. */
  readonly sentMs: number
  /** When it reached the broker. */
  readonly arrivedMs: number
}

export type TracedKind = Exclude<TraceRunKind, 'stored'>

export interface TracingDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly counters: BrokerCounters
  /** The topic of an id; undefined where it was deleted. */
  readonly topicById: (topicId: number) => TracedTopic | undefined
  /** The topic of traces, made where there is none; throws where it cannot be. `isNew`: made just now. */
  readonly traceTopic: () => { readonly topic: TracedTopic; readonly isNew: boolean }
  /** Readers of the trace topic are to look. */
  readonly appended: () => void
}

/** What tracing needs to know of a topic. */
export interface TracedTopic {
  readonly name: string
  readonly topicId: number
  readonly isSystem: boolean
  readonly config: { readonly tracePermille: number }
  readonly queues: readonly QueueLog[]
  messagesIn: number
}

const tag = 'trace'
/** Runs in one trace message, and blocks that one piece of a run may touch; a message has at most 32 keys. */
const runsPerMessageMax = 1_024
const blocksPerPiece = 16

export class Tracing {
  readonly #deps: TracingDeps
  readonly #producerId: Uint8Array
  #sequence = 0
  #runs = new Map<QueueLog, TraceRun[]>()
  readonly #writer = new ByteWriter()
  readonly #scratch = new ByteWriter()
  readonly #body = new ByteWriter()
  #isRefused = false
  /** The topic was made in this turn, perhaps after its writes were gathered: what is noted waits for the next. */
  #isNew = false

  constructor(deps: TracingDeps) {
    this.#deps = deps
    this.#producerId = deps.random.bytes(8)
  }

  /** Messages from `offset` on were appended in this turn. */
  stored(topic: TracedTopic, log: QueueLog, offset: number, count: number, sent: Sent | undefined): void {
    const atMs = this.#deps.clock.now()
    this.#add(topic, log, {
      kind: 'stored',
      offset, count, atMs,
      costMs: sent === undefined ? 0 : Math.max(0, atMs - sent.arrivedMs),
      sentMs: sent?.sentMs ?? 0,
      group: '',
      clientId: sent?.clientId ?? '',
      attempt: 0,
      delayMs: 0,
    })
  }

  /** Something happened to messages that a group was given. `costMs`: since delivery. `delayMs`: until the next attempt. */
  note(
    kind: TracedKind, log: QueueLog, offset: number, count: number, group: string, clientId: string, attempt: number,
    costMs: number, delayMs: number,
  ): void {
    const topic = this.#deps.topicById(log.topicId)
    if (topic === undefined) return
    this.#add(topic, log, {
      kind, offset, count,
      atMs: this.#deps.clock.now(),
      costMs: Math.max(0, Math.round(costMs)),
      sentMs: 0,
      group, clientId, attempt,
      delayMs: Math.ceil(delayMs),
    })
  }

  #add(topic: TracedTopic, log: QueueLog, run: TraceRun): void {
    const { tracePermille } = topic.config
    if (tracePermille === 0 || topic.isSystem || this.#traceTopic() === undefined) return
    if (tracePermille >= 1000) return this.#push(log, run)
    // Cut at the borders of blocks; neighbours that are both traced stay together.
    const end = run.offset + run.count
    let from = -1
    for (let at = run.offset; at < end; at = nextBlock(at)) {
      const isTraced = isSampled(log.topicId, log.queueId, at, tracePermille)
      if (isTraced && from < 0) from = at
      if (!isTraced && from >= 0) {
        this.#push(log, { ...run, offset: from, count: at - from })
        from = -1
      }
    }
    if (from >= 0) this.#push(log, { ...run, offset: from, count: end - from })
  }

  #push(log: QueueLog, run: TraceRun): void {
    const runs = this.#runs.get(log)
    if (runs === undefined) this.#runs.set(log, [run])
    else runs.push(run)
  }

  /** The topic of traces, made when it is first needed; undefined where it cannot be. */
  #traceTopic(): TracedTopic | undefined {
    if (this.#isRefused) return undefined
    try {
      const { topic, isNew } = this.#deps.traceTopic()
      this.#isNew ||= isNew
      return topic
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      this.#isRefused = true
      this.#deps.log.error('trace-refused', { code: error.code, reason: error.message })
      return undefined
    }
  }

  /** Seals what this turn brought into its writes. Runs after everything else of the turn. */
  seal(nowMs: number, writes: StoreWrite[]): void {
    if (this.#isNew) {
      this.#isNew = false
      return
    }
    if (this.#runs.size === 0) return
    const gathered = this.#runs
    this.#runs = new Map()
    const topic = this.#traceTopic()
    const log = topic?.queues[0]
    if (topic === undefined || log === undefined) return
    const starts: number[] = []
    const ends: number[] = []
    const writer = this.#writer
    for (const [queue, runs] of gathered) {
      const name = this.#deps.topicById(queue.topicId)?.name ?? ''
      for (const part of messagesOf(queue, runs)) {
        const { topicId, queueId, epoch } = queue
        encodeTraceRecord({ topic: name, topicId, queueId, epoch, runs: part.runs }, this.#body)
        starts.push(writer.length)
        const headers = { tag, keys: [...part.keys], bornMs: nowMs }
        encodeMessage(writer, this.#scratch, starts.length - 1, headers, this.#body.finish())
        ends.push(writer.length)
        this.#deps.counters.traceRuns += part.runs.length
      }
    }
    const batchCount = starts.length
    log.append({
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence: this.#sequence,
      batchCount,
      source: writer.finish(),
      starts, ends,
      tagHashes: starts.map(() => tagHash),
      groupHashes: undefined,
      ttls: undefined,
    }, true)
    this.#sequence += batchCount
    log.seal(nowMs, writes)
    topic.messagesIn += batchCount
    this.#deps.appended()
  }
}

const tagHash = tagHashOf(tag)

/** Runs of a queue, shared out over messages whose keys name every block that they speak of. */
function* messagesOf(queue: QueueLog, runs: readonly TraceRun[]): Generator<{ keys: Set<string>; runs: TraceRun[] }> {
  let keys = new Set<string>()
  let part: TraceRun[] = []
  for (const run of runs) {
    for (const piece of piecesOf(run)) {
      if (keys.size + blocksPerPiece > fixedLimits.keyCountMax || part.length >= runsPerMessageMax) {
        yield { keys, runs: part }
        keys = new Set()
        part = []
      }
      for (let at = piece.offset; at < piece.offset + piece.count; at = nextBlock(at)) {
        keys.add(traceKeyOf(queue.topicId, queue.queueId, at))
      }
      part.push(piece)
    }
  }
  if (part.length > 0) yield { keys, runs: part }
}

/** A run in pieces that touch no more blocks than a message can name beside others. */
function* piecesOf(run: TraceRun): Generator<TraceRun> {
  const end = run.offset + run.count
  for (let from = run.offset; from < end;) {
    const to = Math.min(end, nextBlock(from) + (blocksPerPiece - 1) * traceBlockSize)
    yield from === run.offset && to === end ? run : { ...run, offset: from, count: to - from }
    from = to
  }
}

function nextBlock(offset: number): number {
  return (Math.floor(offset / traceBlockSize) + 1) * traceBlockSize
}

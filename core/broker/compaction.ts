// Compacting COMPACT topics in the background: of each key and queue the last message stays. In small commits and after
// a margin, so that nobody waits behind it and live readers are not raced. A restart in the middle does some of it again:
// what a log says of how far it is compacted comes last.

import type { Limits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../ports/store.ts'
import { MessageScanner } from '../record/message-codec.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import {
  keptBeside, type KeyWindow, olderOffsets, readDirty, recordAt, recordsFrom, tombstonesIn,
} from '../storage/compaction.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Registry } from './registry.ts'
import type { Rewriting } from './rewriting.ts'
import type { BrokerCounters } from './stats.ts'
import type { Topic } from './topic.ts'

/** Rewritten in one commit. */
const commitBytes = 1 << 20
/** Looked at for tombstones, before others have their turn. */
const recordsPerTurn = 256

export interface CompactionDeps {
  readonly store: Store
  readonly clock: Clock
  readonly limits: Limits
  readonly log: Log
  readonly registry: Registry
  readonly rewriting: Rewriting
  readonly counters: BrokerCounters
}

/** When a log is looked at again, in monotonic time. */
interface Next {
  compactMs: number
  tombstonesMs: number
  /** Compacting it has begun and is not done. */
  hasMore: boolean
}

/** The work was for a topic that is gone, or for a broker that has stopped. */
class Ended extends Error {}

export class Compaction {
  readonly #deps: CompactionDeps
  readonly #scanner: MessageScanner
  readonly #nexts = new WeakMap<QueueLog, Next>()
  #rewrittenBytes = 0
  #stopped = false

  constructor(deps: CompactionDeps) {
    this.#deps = deps
    this.#scanner = new MessageScanner(deps.limits, 'stored')
  }

  /** Nothing is changed any more. */
  stop(): void {
    this.#stopped = true
  }

  /** Compacts all topics that are due. */
  async run(): Promise<void> {
    for (const topic of [...this.#deps.registry.topics.values()]) {
      if (!topic.isCompact) continue
      for (const log of topic.queues) {
        // Some at a time, as others wait who change records of the log.
        for (let more = this.#isDue(log); more;) {
          more = await this.#deps.rewriting.exclusively(log, () => this.#compact(topic, log))
        }
      }
    }
  }

  /** Whether there may be something to do: a sweep over many quiet queues reads nothing. */
  #isDue(log: QueueLog): boolean {
    const nowMs = this.#deps.clock.monotonic()
    const { compactMs, tombstonesMs } = this.#nextOf(log)
    return (log.compactedOffset < log.maxOffset && compactMs <= nowMs) ||
      (log.tombstoneOffset < log.compactedOffset && tombstonesMs <= nowMs)
  }

  #nextOf(log: QueueLog): Next {
    const known = this.#nexts.get(log)
    if (known !== undefined) return known
    const next = { compactMs: 0, tombstonesMs: 0, hasMore: false }
    this.#nexts.set(log, next)
    return next
  }

  /** Does a part of it; true where there is more. */
  async #compact(topic: Topic, log: QueueLog): Promise<boolean> {
    const before = this.#deps.counters.compactedMessages
    let more = false
    try {
      more = (await this.#removeSuperseded(topic, log)) || (await this.#removeTombstones(topic, log))
    } catch (error) {
      if (!(error instanceof Ended)) throw error
    }
    const messageCount = this.#deps.counters.compactedMessages - before
    if (messageCount > 0) {
      const { storedBytes } = log
      this.#deps.log.info('compaction', { topic: topic.name, queueId: log.queueId, messageCount, storedBytes })
    }
    return more
  }

  // ── superseded messages ───────────────────────────────────────────────────────────────────────────────────────

  /** One window of it; true where another follows. */
  async #removeSuperseded(topic: Topic, log: QueueLog): Promise<boolean> {
    const { clock, limits, store } = this.#deps
    if (!(await this.#isWorthIt(log))) return false
    const window = await readDirty(store, log, clock.now() - limits.compactLagMsMin)
    // The rest of what was found worth it is so too, however little is left.
    this.#nextOf(log).hasMore = window.more
    if (window.to === log.compactedOffset) return false
    await this.#removeOlder(topic, log, window)
    for await (const record of recordsFrom(store, log, window.from)) {
      if (record.baseOffset >= window.to) break
      // The newest record of a log keeps its last message, as that is the last of its key.
      await this.#rewrite(topic, log, record, keptBeside(record, window), 0)
    }
    this.#check(topic)
    log.compactedTo(window.to)
    await this.#finish(log)
    return window.more
  }

  /** Whether enough has come, or something long ago; each time some is rewritten, all of a log may be. */
  async #isWorthIt(log: QueueLog): Promise<boolean> {
    const { clock, limits, store } = this.#deps
    const { compactLagMsMin, compactLagMsMax } = limits
    const next = this.#nextOf(log)
    if (next.hasMore) return true
    if (log.compactedOffset >= log.maxOffset || next.compactMs > clock.monotonic()) return false
    const { value: oldest } = await recordsFrom(store, log, log.compactedOffset).next()
    const ageMs = oldest === undefined ? 0 : clock.now() - oldest.storedMs
    const isMuch = (log.maxOffset - log.compactedOffset) * 2 >= log.messageCount
    const isWorthIt = ageMs >= compactLagMsMax || (isMuch && ageMs >= compactLagMsMin)
    // By then what is too young is old enough, and what is not much may be more.
    const oldEnoughMs = ageMs < compactLagMsMin ? compactLagMsMin : compactLagMsMax
    const waitMs = isWorthIt ? 0 : Math.min(compactLagMsMin, oldEnoughMs - ageMs)
    next.compactMs = clock.monotonic() + waitMs
    return isWorthIt
  }

  /** Removes what a window supersedes of the records before it. False where some could not be read. */
  async #removeOlder(topic: Topic, log: QueueLog, window: KeyWindow): Promise<boolean> {
    const { store } = this.#deps
    let isAllRead = true
    for await (const offsets of olderOffsets(store, log, window)) {
      // What was rewritten just now is read as it was before, until that is durable.
      await this.#durable()
      let passed = -1
      for (const offset of offsets) {
        if (offset <= passed) continue
        const record = await recordAt(store, log, offset)
        if (record === undefined) isAllRead = false
        else if (record.baseOffset < window.from) {
          passed = record.lastOffset
          await this.#rewrite(topic, log, record, keptBeside(record, window), 0)
        }
      }
    }
    return isAllRead
  }

  // ── tombstones ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Removes messages that have removed their key for long enough, of some records; true where others may follow. */
  async #removeTombstones(topic: Topic, log: QueueLog): Promise<boolean> {
    const { clock, limits, store } = this.#deps
    const next = this.#nextOf(log)
    if (log.tombstoneOffset >= log.compactedOffset || next.tombstonesMs > clock.monotonic()) return false
    const { compactedOffset } = log
    const dueMs = clock.now() - limits.compactTombstoneMs
    let to = log.tombstoneOffset
    let more = false
    let looked = 0
    for await (const record of recordsFrom(store, log, to)) {
      if (record.baseOffset >= compactedOffset || record.storedMs > dueMs) break
      more = looked++ >= recordsPerTurn
      if (more) break
      const { window, others } = tombstonesIn(record, this.#scanner)
      // Nothing may come back: where something older of those keys could not be read, they stay.
      if (window.lastOffsets.size > 0 && (await this.#removeOlder(topic, log, window))) {
        await this.#rewrite(topic, log, record, others, others.length === 0 ? await this.#endBefore(log, record) : 0)
      }
      to = record.lastOffset + 1
    }
    if (!more) {
      const { value: head } = await recordsFrom(store, log, to).next()
      const waitMs = head === undefined ? limits.compactLagMsMin : head.storedMs - dueMs
      next.tombstonesMs = clock.monotonic() + Math.max(1, Math.min(waitMs, limits.compactTombstoneMs))
    }
    if (to === log.tombstoneOffset) return more
    this.#check(topic)
    log.tombstonesRemovedTo(Math.min(to, compactedOffset))
    await this.#finish(log)
    return more
  }

  // ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #rewrite(
    topic: Topic, log: QueueLog, record: RecordBatch, kept: readonly number[], previousEnd: number,
  ): Promise<void> {
    if (kept.length === record.messageCount) return
    this.#check(topic)
    this.#deps.counters.compactedMessages += this.#deps.rewriting.apply(log, [{ record, kept, previousEnd }])
    this.#rewrittenBytes += record.bytes.length
    if (this.#rewrittenBytes >= commitBytes) await this.#durable()
  }

  /** Writes how far it is done, behind all that was rewritten. */
  async #finish(log: QueueLog): Promise<void> {
    this.#deps.rewriting.apply(log, [])
    this.#rewrittenBytes = 0
    await this.#deps.rewriting.durable()
  }

  /** Waits for what was rewritten, if anything was. */
  async #durable(): Promise<void> {
    if (this.#rewrittenBytes === 0) return
    this.#rewrittenBytes = 0
    await this.#deps.rewriting.durable()
  }

  /** Where the log ends without a record, if it is the newest. */
  async #endBefore(log: QueueLog, record: RecordBatch): Promise<number> {
    if (record.lastOffset + 1 < log.recordsEnd) return 0
    await this.#durable()
    return log.readEndBefore(record.lastOffset)
  }

  /** What is written of a topic that was deleted would stay for ever. */
  #check(topic: Topic): void {
    if (this.#stopped || this.#deps.registry.topics.get(topic.name) !== topic) throw new Ended()
  }
}

// What a broker counts, for metrics and for people. The hot path increments plain numbers in `BrokerCounters`; whoever
// asks gets a `BrokerStats`, which is put together then and not before. Knows no metrics library.

/** Bounds of commit times: a sync of a good disk takes 0.2 ms, a bad one seconds. */
export const commitBoundsMs: readonly number[] = [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000, 5_000]

/** Bounds of message sizes, RocketMQ's. */
export const messageSizeBounds: readonly number[] = [
  1_024, 4_096, 524_288, 1_048_576, 2_097_152, 4_194_304,
]

/** Bounds of how late delayed messages are. */
export const latenessBoundsMs: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 250, 1_000, 5_000, 60_000]

/** Counts values in buckets; the unit is its owner's. `observe` is a few comparisons. */
export class Histogram {
  /** Ascending; a value belongs to the first bound that it does not exceed. */
  readonly bounds: readonly number[]
  /** Values per bucket, not cumulative; one more than bounds, for what is over the last. */
  readonly counts: number[]
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** Adds `times` occurrences of a value. */
  observe(value: number, times = 1): void {
    const { bounds } = this
    let index = 0
    while (index < bounds.length && value > (bounds[index] as number)) index++
    this.counts[index] = (this.counts[index] as number) + times
    this.sum += value * times
  }

  /** Values seen. */
  get count(): number {
    let count = 0
    for (const inBucket of this.counts) count += inBucket
    return count
  }
}

/** Counters of the whole broker since it was opened. They only grow; a reader must not change them. */
export class BrokerCounters {
  /** Stored messages, dead letters not among them; a duplicate is not stored. */
  messagesIn = 0
  /** Bytes of the stored messages as they came: bodies, headers and their framing. */
  bytesIn = 0
  /** Messages of recognised resends. */
  duplicateMessages = 0
  /** PUBLISH batches that were refused. */
  refusedBatches = 0
  /** Messages handed to members, redeliveries and every BROADCASTING reader included, and to pulls. */
  messagesOut = 0
  bytesOut = 0
  /** Of `messagesOut`, those with an attempt over 1. */
  redeliveredMessages = 0
  ackedMessages = 0
  /** Given back by a consumer, by the schedule or a delay of its own. */
  retriedMessages = 0
  /** Leases that ended with messages neither acked nor given back. */
  expiredLeases = 0
  deadLetters = 0
  /** Messages that a group or a reader passed over, as their time to live was over before they were consumed. */
  expiredUnreadMessages = 0
  /** Announced gaps. */
  gaps = 0
  /** Stored records that failed their checksum, found at opening or while reading. */
  damagedRecords = 0
  /** Turns that ended, with or without a commit. */
  turns = 0
  /** Commits that became durable. */
  commits = 0
  /** Keys written by them. */
  commitWrites = 0
  /** Bytes of body and headers, to RocketMQ's bounds; observed once per batch with its mean size. */
  readonly messageBytes = new Histogram(messageSizeBounds)
  /** From handing a commit to the store to its durable answer, in milliseconds. */
  readonly commitMs = new Histogram(commitBoundsMs)
  /** Reads of the store for readers that are behind memory, and what they brought. */
  storeReads = 0
  storeReadBytes = 0
  /** Messages that were to be delivered later. */
  delayedMessages = 0
  /** Of those, the ones that were due and went into their queues. */
  firedMessages = 0
  recalledMessages = 0
  /** From when a delayed message was due until it was durable in its queue, in milliseconds of the wall clock. */
  readonly delayLatenessMs = new Histogram(latenessBoundsMs)
  /** Half messages stored; those of commits are among `messagesIn` too. */
  preparedMessages = 0
  committedTransactions = 0
  /** By their producer. */
  rolledBackTransactions = 0
  /** Rolled back by the broker, as nobody said what became of them. */
  unresolvedTransactions = 0
  /** Checks that were handed to a producer. */
  transactionChecks = 0
  /** Runs of messages that were noted in traces. */
  traceRuns = 0
  /** Records and messages that retention deleted. */
  expiredRecords = 0
  expiredMessages = 0
  /** Messages that compaction removed. */
  compactedMessages = 0
  /** Dead letters that were put back, and deleted, on request. */
  resentDeadLetters = 0
  purgedDeadLetters = 0
}

/** One topic, as it stands. The counters start at zero when the broker opens. */
export interface TopicStats {
  readonly topic: string
  readonly messagesIn: number
  readonly bytesIn: number
  /** To all groups and pulls together. */
  readonly messagesOut: number
  readonly bytesOut: number
  /** Messages and bytes kept now. */
  readonly messageCount: number
  readonly storedBytes: number
}

/** One group on one topic, as it stands. A BROADCASTING group keeps no progress: its backlog and what follows are 0. */
export interface GroupStats {
  readonly group: string
  readonly topic: string
  readonly memberCount: number
  readonly messagesOut: number
  readonly bytesOut: number
  readonly deadLetters: number
  /** Never delivered, or free to be delivered again. */
  readonly readyCount: number
  /** Leased. */
  readonly inFlightCount: number
  /** Waiting for their retry time. */
  readonly retryCount: number
  /** Kept in a FIFO topic, as their attempts are over. */
  readonly heldCount: number
  /** Stored and not consumed: ready, in flight, waiting, held and locked. */
  readonly backlog: number
  /** When the oldest message that is not consumed was stored; undefined where there is none or it is not known. */
  readonly oldestStoredMs: number | undefined
}

/** A broker at one moment. */
export interface BrokerStats {
  readonly counters: BrokerCounters
  readonly topicCount: number
  readonly groupCount: number
  /** Members with a connection, of all groups. */
  readonly memberCount: number
  /** Idempotent producers whose last sequence is kept. */
  readonly producerCount: number
  /** Messages kept over all topics. */
  readonly messageCount: number
  readonly inFlightCount: number
  readonly backlog: number
  /** Pulls that wait for a message. */
  readonly waitingPullCount: number
  /** Transactions that are not ended. */
  readonly openTransactionCount: number
  readonly tailCacheBytes: number
  readonly storeUsedBytes: number
  /** Infinity where the platform does not tell. */
  readonly storeFreeBytes: number
  /** Walked lazily, so that a reader of the totals pays nothing for them. */
  topics(): Iterable<TopicStats>
  groups(): Iterable<GroupStats>
}

// Follows topics: changes as the relay sends them, within the credit it is given, in the order to apply them. Over a
// reconnect it goes on where what it has received ends; what waits to be taken is kept.

import { PocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { Change, FrameFields } from '../protocol/frames.ts'
import type { FollowerSink } from '../session/client-session.ts'
import { decodeQueueState } from '../storage/catalog.ts'
import type { ChangeBatch, Follower } from './api.ts'
import { RelayStream, type StreamDeps, type StreamOwner } from './relay-stream.ts'

/** Received and not applied, at most; one frame may exceed it. */
const windowChangeCount = 16_384
const windowByteCount = 4 * 1024 * 1024
/** What a change costs in credit beside its value. */
const changeBytesMin = 16
/** What a position takes at most in a FOLLOW, beside the name of its topic. */
const positionBytesMax = 24

export interface LogFollowerOptions {
  readonly topics: readonly string[]
  readonly positions: FollowedPositions
  readonly withProgress: boolean
}

export interface LogFollowerDeps extends StreamDeps {
  /** Something failed that no call was waiting for. */
  readonly report: (error: PocketError) => void
  readonly closed: (follower: { close(): Promise<void> }) => void
}

type QueuePositions = Map<string, Map<number, Position>>
export type FollowedPositions = ReadonlyMap<string, ReadonlyMap<number, Position>>

interface Waiter {
  readonly resolve: (result: IteratorResult<ChangeBatch, undefined>) => void
  readonly reject: (error: PocketError) => void
}

const done: IteratorResult<never, undefined> = { done: true, value: undefined }

export class LogFollower implements Follower {
  readonly #deps: LogFollowerDeps
  readonly #stream: FollowStream
  /** Up to where changes were received, and were taken. */
  readonly #received: QueuePositions
  readonly #taken: QueuePositions
  #batches: ChangeBatch[] = []
  /** Of what is received and not applied, the batch in hand included. */
  #heldCount = 0
  #heldBytes = 0
  #inHand: ChangeBatch | undefined
  /** Free, and not granted yet. */
  #freedCount = 0
  #freedBytes = 0
  #lag = 0
  readonly #waiters: Waiter[] = []
  #closing: Promise<void> | undefined
  #isOver = false
  #failure: PocketError | undefined

  constructor(deps: LogFollowerDeps, { topics, positions, withProgress }: LogFollowerOptions) {
    this.#deps = deps
    this.#received = copyOf(positions)
    this.#taken = copyOf(positions)
    this.#stream = new FollowStream(deps, {
      terms: () => ({ topics, withProgress, positions: listOf(this.#received) }),
      opened: () => this.#opened(),
      suspended: () => {},
      changes: (frame) => this.#changes(frame),
      ended: (error) => {
        const isAwaited = this.#waiters.length > 0
        this.#finish(error)
        if (this.#failure !== undefined && !isAwaited) deps.report(error)
      },
    })
    this.#stream.start()
  }

  get lag(): number {
    return this.#lag
  }

  positions(): FollowedPositions {
    return copyOf(this.#taken)
  }

  [Symbol.asyncIterator](): AsyncIterator<ChangeBatch, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        await this.close()
        return done
      },
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #next(): Promise<IteratorResult<ChangeBatch, undefined>> {
    this.#applied()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined || this.#isOver) return Promise.resolve(done)
    const batch = this.#waiters.length === 0 ? this.#batches.shift() : undefined
    if (batch !== undefined) return Promise.resolve({ done: false, value: this.#handOut(batch) })
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  #handOut(batch: ChangeBatch): ChangeBatch {
    this.#inHand = batch
    this.#lag = batch.lag
    for (const change of batch.changes) advance(this.#taken, change)
    return batch
  }

  /** What is in hand was applied: there is room for more. */
  #applied(): void {
    const batch = this.#inHand
    if (batch === undefined) return
    this.#inHand = undefined
    const byteCount = bytesOf(batch.changes)
    this.#heldCount -= batch.changes.length
    this.#heldBytes -= byteCount
    this.#freedCount += batch.changes.length
    this.#freedBytes += byteCount
    if (this.#freedCount >= windowChangeCount / 2 || this.#freedBytes >= windowByteCount / 2) {
      this.#stream.grant(this.#freedCount, this.#freedBytes)
      this.#freedCount = 0
      this.#freedBytes = 0
    }
  }

  // ── the relay's side ──────────────────────────────────────────────────────────────────────────────────────────

  #opened(): void {
    this.#freedCount = 0
    this.#freedBytes = 0
    this.#stream.grant(
      Math.max(0, windowChangeCount - this.#heldCount), Math.max(0, windowByteCount - this.#heldBytes),
    )
  }

  #changes({ changes, sequence, isCurrent, lag }: FrameFields<'CHANGES'>): void {
    // Before anything of it is kept: where one makes no sense, the connection ends, and all of it comes again.
    for (const change of changes) advance(this.#received, change)
    this.#heldCount += changes.length
    this.#heldBytes += bytesOf(changes)
    const batch = { changes, sequence, isCurrent, lag }
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#batches.push(batch)
    else waiter.resolve({ done: false, value: this.#handOut(batch) })
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #close(): Promise<void> {
    await undefined
    if (this.#isOver) return
    await new Promise<void>((resolve) => this.#stream.leave(resolve))
    this.#finish(undefined)
  }

  #finish(error: PocketError | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    if (error?.code !== 'CLOSED' && error?.code !== 'ABORTED') this.#failure = error
    this.#batches = []
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (this.#failure === undefined) resolve(done)
      else reject(this.#failure)
    }
    this.#deps.closed(this)
  }
}

interface FollowOwner extends StreamOwner {
  terms(): Omit<FrameFields<'FOLLOW'>, 'requestId' | 'subscriptionId'>
  opened(): void
  changes(frame: FrameFields<'CHANGES'>): void
}

/** The stream of one follower, kept over reconnects. */
class FollowStream extends RelayStream<'FOLLOWING'> implements FollowerSink {
  readonly #owner: FollowOwner

  constructor(deps: StreamDeps, owner: FollowOwner) {
    super(deps, owner, 'FOLLOWING')
    this.#owner = owner
  }

  changes(frame: FrameFields<'CHANGES'>): void {
    if (this.isActive) this.#owner.changes(frame)
  }

  protected override sink(): FollowerSink {
    return this
  }

  protected override ask(requestId: number): void {
    const { subscriptionId } = this
    const { session } = this.deps
    const terms = this.#owner.terms()
    let byteCount = 64
    for (const topic of [...terms.topics, ...terms.positions.map((position) => position.topic)]) {
      byteCount += topic.length + positionBytesMax
    }
    if (byteCount > session.limits.frameBytesMax) {
      // The relay would end the connection.
      const text = `topics and positions are more than a frame of this relay takes (${byteCount} bytes)`
      throw new PocketError('LIMIT_EXCEEDED', text)
    }
    session.send('FOLLOW', { requestId, subscriptionId, ...terms })
  }

  protected override opened(): void {
    this.#owner.opened()
  }
}

function bytesOf(changes: readonly Change[]): number {
  let byteCount = 0
  for (const { value } of changes) byteCount += value.length + changeBytesMin
  return byteCount
}

/** Where a copy stands that has applied the change too. Throws RECORD_DAMAGED where a log's state can't be read. */
function advance(positions: QueuePositions, { kind, topic, queueId, offset, value }: Change): void {
  if (kind === 'topic-deleted') positions.delete(topic)
  if (kind !== 'log' && kind !== 'record') return
  const known = positions.get(topic)?.get(queueId)
  if (kind === 'record') {
    // What was rewritten comes again without moving anything.
    if (known !== undefined && offset >= known.offset) put(positions, topic, queueId, { ...known, offset: offset + 1 })
    return
  }
  const { epoch, minOffset } = decodeQueueState(value)
  put(positions, topic, queueId, { epoch, offset: Math.max(minOffset, Math.min(known?.offset ?? Infinity, offset)) })
}

function put(positions: QueuePositions, topic: string, queueId: number, position: Position): void {
  const queues = positions.get(topic)
  if (queues === undefined) positions.set(topic, new Map([[queueId, position]]))
  else queues.set(queueId, position)
}

function copyOf(positions: FollowedPositions): QueuePositions {
  return new Map([...positions].map(([topic, queues]) => [topic, new Map(queues)]))
}

function listOf(positions: FollowedPositions): FrameFields<'FOLLOW'>['positions'] {
  return [...positions].flatMap(([topic, queues]) =>
    [...queues].map(([queueId, position]) => ({ topic, queueId, position })))
}

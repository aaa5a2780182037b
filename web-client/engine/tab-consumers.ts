// What a page consumes: its push consumers, receivers and pulls, each over one of core's. Messages go to the page with a
// handle each and stay in hand here, leases kept, until the page settles them or is gone.

import type { Duration, PullConsumer, SimpleConsumer } from '../../core/client/api.ts'
import type { ReceivedMessage } from '../../core/client/message.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import { errorToWire } from '../port/errors.ts'
import type {
  ConsumeSpec, GapTold, PulledMessages, PullSpec, ReceiverSpec, Settle, TabApi, WireError,
} from '../port/port-protocol.ts'
import { packMessages } from './packing.ts'
import type { TabLine } from './tab-line.ts'

const prefetchDefault = 1_000
/** So many of the first messages of a consumer go ahead of what comes with them. */
const vanguardCount = 16
const noPositions: ReadonlyMap<number, Position> = new Map()

type Held = ReceivedMessage<Uint8Array>

/** A message with the page. */
interface InHand {
  readonly message: Held
  /** It is settled: room for another. */
  readonly done: () => void
}

interface TabConsumer {
  /** Messages with the page, by handle, in the order they went. */
  readonly inHand: Map<number, InHand>
  close(): Promise<void>
}

interface TabPushConsumer extends TabConsumer {
  readonly spec: ConsumeSpec
  readonly isBroadcasting: boolean
}

export class TabConsumers {
  readonly #line: TabLine
  readonly #consumers = new Map<number, TabConsumer>()
  readonly #pulls = new Map<number, {
    readonly consumer: PullConsumer<Uint8Array>; readonly batches: AsyncIterator<readonly Held[]>,
  }>()
  readonly #receivers = new Map<number, SimpleConsumer<Uint8Array>>()
  /** Push consumers that were closed as the page stood still. */
  readonly #frozen = new Map<number, ConsumeSpec>()
  #isFrozen = false
  readonly #handleNext = new Map<number, number>()

  constructor(line: TabLine) {
    this.#line = line
  }

  /** Whether the page has messages under a lease. */
  get isHolding(): boolean {
    for (const { inHand } of this.#consumers.values()) if (inHand.size > 0) return true
    return false
  }

  // ── push ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Resolves when subscribed, with where a BROADCASTING reader stands. */
  async consume(id: number, spec: ConsumeSpec): Promise<ReadonlyMap<number, Position>> {
    const { topic, home, echo, ...options } = spec
    const isBroadcasting = options.mode === 'BROADCASTING'
    if (this.#isFrozen && !isBroadcasting) {
      // Said before it stood still, and heard behind that.
      this.#frozen.set(id, spec)
      return noPositions
    }
    const isCopy = isBroadcasting && home === 'relay' && options.positionKeeper !== 'relay'
    const consumer = isCopy
      ? this.#line.relay().broadcast(topic, echo === undefined ? options : { ...options, echo })
      : this.#line.client(home).topic<Uint8Array>(topic, { codec: asIs }).consume(options)
    const sink = new PushSink(this.#line, id, spec, isBroadcasting, () => this.#takeHandle(id))
    this.#consumers.set(id, {
      inHand: sink.inHand,
      spec,
      isBroadcasting,
      close: () => consumer.close(),
    } as TabPushConsumer)
    const isCurrent = () => this.#consumers.get(id)?.inHand === sink.inHand
    consumer.run((message) => sink.take(message as Held), { concurrency: options.prefetch ?? prefetchDefault }).then(
      () => isCurrent() && this.#ended(id, undefined),
      (error: unknown) => isCurrent() && this.#ended(id, errorToWire(error)),
    )
    try {
      await consumer.subscribed
    } catch (error) {
      // Closed as the page stood still: it begins anew, or has begun, when that runs again.
      if (!isCurrent() && (this.#frozen.has(id) || this.#consumers.has(id))) return noPositions
      throw error
    }
    return consumer.positions()
  }

  #takeHandle(id: number): number {
    const handle = this.#handleNext.get(id) ?? 0
    this.#handleNext.set(id, handle + 1)
    return handle
  }

  #ended(id: number, error: WireError | undefined): void {
    this.#consumers.delete(id)
    this.#line.post({ kind: 'ended', consumer: id, ...(error === undefined ? {} : { error }) })
  }

  /** BROADCASTING: the application is done with so many. */
  credit(id: number, count: number): void {
    const { inHand } = this.#consumers.get(id) ?? {}
    if (inHand === undefined) return
    for (const [handle, { done }] of inHand) {
      if (count-- <= 0) return
      inHand.delete(handle)
      done()
    }
  }

  gap(gap: Omit<GapTold, 'kind' | 'consumer'>): void {
    this.#line.post({ kind: 'gap', consumer: -1, ...gap })
  }

  // ── receive, pull ─────────────────────────────────────────────────────────────────────────────────────────────

  async openReceiver(id: number, { topic, home, ...options }: ReceiverSpec): Promise<void> {
    const receiver = this.#line.client(home).topic<Uint8Array>(topic, { codec: asIs }).receiver(options)
    this.#receivers.set(id, receiver)
    this.#consumers.set(id, { inHand: new Map(), close: () => receiver.close() })
    await receiver.subscribed
  }

  async receive(id: number, { max, wait, lease }: Parameters<TabApi['receive']>[1]): Promise<PulledMessages> {
    const receiver = found(this.#receivers.get(id))
    const messages = await receiver.receive({
      ...(max === undefined ? {} : { max }),
      ...(wait === undefined ? {} : { wait }),
      ...(lease === undefined ? {} : { lease }),
    })
    const { inHand } = this.#consumers.get(id) ?? { inHand: new Map<number, InHand>() }
    let first = -1
    for (const message of messages) {
      const handle = this.#takeHandle(id)
      if (first < 0) first = handle
      inHand.set(handle, { message: message as Held, done: ignore })
    }
    const { fields, bodies, sizes } = packMessages(messages, undefined)
    return { fields, bodies, sizes, handle: first }
  }

  openPull(id: number, { topic, home, ...options }: PullSpec): void {
    const consumer = this.#line.client(home).topic<Uint8Array>(topic, { codec: asIs }).pull(options)
    this.#pulls.set(id, { consumer, batches: consumer[Symbol.asyncIterator]() as AsyncIterator<readonly Held[]> })
    this.#consumers.set(id, { inHand: new Map(), close: () => consumer.close() })
  }

  async pull(id: number): Promise<PulledMessages> {
    const { consumer, batches } = found(this.#pulls.get(id))
    const { value, done } = await batches.next()
    const { fields, bodies, sizes } = packMessages(done === true ? [] : value, undefined)
    const { position } = consumer
    return { fields, bodies, sizes, handle: -1, done: done === true, ...(position === undefined ? {} : { position }) }
  }

  // ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────

  settle({ consumer: id, request, handles, verb, delayMs }: Settle): void {
    const { inHand } = this.#consumers.get(id) ?? {}
    const failures: [number, WireError][] = []
    const waits: Promise<void>[] = []
    const failed = (handle: number, error: unknown) => void failures.push([handle, errorToWire(error)])
    // All acks of a delivery share one promise.
    const shared = new Map<Promise<void>, number[]>()
    for (const handle of handles) {
      const held = inHand?.get(handle)
      if (held === undefined) {
        if (verb !== 'release') failed(handle, stale())
        continue
      }
      inHand?.delete(handle)
      if (verb === 'release') held.message.release()
      else {
        const settling = verb === 'ack' ? held.message.ack() : held.message.retry(delayMs === undefined ? {} : { after: delayMs })
        const others = shared.get(settling)
        if (others === undefined) shared.set(settling, [handle])
        else others.push(handle)
      }
      held.done()
    }
    for (const [settling, ofPromise] of shared) {
      waits.push(settling.catch((error: unknown) => {
        // Closed here, as the page stood still; for the page it is open.
        const isOpen = this.#consumers.has(id) || this.#frozen.has(id)
        for (const handle of ofPromise) failed(handle, isOpen && toPocketError(error).code === 'CLOSED' ? stale() : error)
      }))
    }
    if (verb === 'release') return
    void Promise.all(waits).then(() => {
      this.#line.post({ kind: 'settled', consumer: id, request, ...(failures.length === 0 ? {} : { failures }) })
    })
  }

  async extend(id: number, handle: number, lease: Duration): Promise<void> {
    const held = this.#consumers.get(id)?.inHand.get(handle)
    if (held === undefined) throw stale()
    await held.message.extend(lease)
  }

  async reply(id: number, handle: number, body: Uint8Array, options: object): Promise<void> {
    const held = this.#consumers.get(id)?.inHand.get(handle)
    if (held === undefined) throw stale()
    await held.message.reply(body, { ...options, codec: asIs as never })
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  async close(id: number): Promise<void> {
    const consumer = this.#consumers.get(id)
    this.#frozen.delete(id)
    if (consumer === undefined) return
    this.#consumers.delete(id)
    this.#receivers.delete(id)
    this.#pulls.delete(id)
    this.#handleNext.delete(id)
    giveBack(consumer)
    await consumer.close()
  }

  /** The page stands still: what it holds under a lease goes on to others. It hears of it when it runs again. */
  freeze(): void {
    this.#isFrozen = true
    for (const [id, consumer] of [...this.#consumers]) {
      const spec = (consumer as Partial<TabPushConsumer>).spec
      const handles = [...consumer.inHand.keys()]
      if (spec === undefined || (consumer as TabPushConsumer).isBroadcasting) continue
      this.#frozen.set(id, spec)
      this.#consumers.delete(id)
      giveBack(consumer)
      if (handles.length > 0) this.#line.post({ kind: 'lost', consumer: id, handles })
      void consumer.close()
    }
  }

  thaw(): void {
    this.#isFrozen = false
    for (const [id, spec] of this.#frozen) {
      this.consume(id, spec).catch((error: unknown) => this.#ended(id, errorToWire(error)))
    }
    this.#frozen.clear()
  }

  async closeAll(): Promise<void> {
    this.#frozen.clear()
    await Promise.all([...this.#consumers.keys()].map((id) => this.close(id)))
  }
}

/** A push consumer's way to the page: what comes in one go leaves as one message, but for the very first. */
class PushSink {
  readonly inHand = new Map<number, InHand>()
  readonly #line: TabLine
  readonly #id: number
  readonly #topic: string
  readonly #isBroadcasting: boolean
  readonly #takeHandle: () => number
  #gathered: Held[] = []
  #firstHandle = 0
  /** Nothing has left yet. */
  #isFirst = true
  /** Of the delivery that messages came from last. */
  #signal: AbortSignal | undefined
  #ofSignal: number[] = []

  constructor(line: TabLine, id: number, spec: ConsumeSpec, isBroadcasting: boolean, takeHandle: () => number) {
    this.#line = line
    this.#id = id
    this.#topic = spec.topic
    this.#isBroadcasting = isBroadcasting
    this.#takeHandle = takeHandle
  }

  /** Resolves when the message is settled or the application is done with it. */
  take(message: Held): Promise<void> {
    const handle = this.#takeHandle()
    if (this.#gathered.length === 0) {
      this.#firstHandle = handle
      queueMicrotask(() => this.#flush())
    }
    const count = this.#gathered.push(message)
    if (!this.#isBroadcasting) this.#watch(message, handle)
    if (this.#isFirst && count >= vanguardCount) this.#flush()
    return new Promise((done) => this.inHand.set(handle, { message, done }))
  }

  #watch(message: Held, handle: number): void {
    const { signal } = message
    if (signal !== this.#signal) {
      const handles: number[] = []
      this.#signal = signal
      this.#ofSignal = handles
      signal.addEventListener('abort', () => this.#lost(handles), { once: true })
    }
    this.#ofSignal.push(handle)
  }

  #lost(handles: readonly number[]): void {
    const lost = handles.filter((handle) => this.inHand.has(handle))
    for (const handle of lost) {
      const held = this.inHand.get(handle)
      this.inHand.delete(handle)
      held?.message.release()
      held?.done()
    }
    if (lost.length > 0) this.#line.post({ kind: 'lost', consumer: this.#id, handles: lost })
  }

  #flush(): void {
    const messages = this.#gathered
    if (messages.length === 0) return
    this.#isFirst = false
    this.#gathered = []
    const { fields, bodies, sizes, transfer } = packMessages(messages, this.#topic)
    this.#line.post({ kind: 'messages', consumer: this.#id, handle: this.#firstHandle, fields, bodies, sizes }, transfer)
  }
}

/**
 * All that is with the page goes back, its attempt counted, as nobody knows what the page has done with it. What was not
 * leased goes back as never seen: where its group stands must not move over it.
 */
function giveBack(consumer: TabConsumer): void {
  const { inHand } = consumer
  for (const { message, done } of inHand.values()) {
    if ((consumer as Partial<TabPushConsumer>).isBroadcasting === true) message.release()
    else message.retry({ after: 0 }).catch(ignore)
    done()
  }
  inHand.clear()
}

function found<T>(consumer: T | undefined): T {
  if (consumer === undefined) throw new PocketError('CLOSED', 'the consumer is closed')
  return consumer
}

function stale(): PocketError {
  return new PocketError('RECEIPT_STALE', 'the lease has ended; the message may be with another consumer')
}

/** Bodies as they are. */
const asIs = { name: 'bytes', encode: (value: Uint8Array) => value, decode: (body: Uint8Array) => body }

function ignore(): void {}

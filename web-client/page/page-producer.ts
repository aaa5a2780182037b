// What a page sends to one topic: gathered in a turn, posted as one chunk, kept until it is answered, and posted again as
// it was to the next engine, which knows the producer by the identity kept here.

import { onAbort, throwIfAborted } from '../../core/client/abort.ts'
import type { Codec, SendReceipt } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import { wireToError } from '../port/errors.ts'
import type { FromEngine, Home, PortSendOptions, SendRefused, Sent } from '../port/port-protocol.ts'
import { randomId } from '../port/random-id.ts'
import type { LineParticipant, PageLine } from './page-line.ts'
import { ignore, QuietPromise } from './quiet-promise.ts'
import type { WebSendOptions, WebSendReceipt } from './web-api.ts'

/** `ready` waits while so much is unanswered. */
const roomCount = 16_384
const roomBytes = 4 * 1024 * 1024
/** Beyond it `send` refuses. */
const pendingBytesMax = 256 * 1024 * 1024
/** A chunk is closed when it has so much. */
const chunkBytesMax = 256 * 1024
const chunksInFlightMax = 2
/** So many are posted whatever is on its way. */
const gatheredCountMax = 512
const noBytes = new Uint8Array(0)

/** A message and who waits for its receipt. */
interface Entry {
  readonly resolve: (receipt: WebSendReceipt) => void
  readonly reject: (error: unknown) => void
  readonly isUntilRelay: boolean
  readonly options: PortSendOptions | undefined
  /** Empty from when it is in a chunk. */
  body: Uint8Array
  /** The caller's signal is heard no more. */
  stopListening: () => void
}

/** Messages that were posted together. */
interface Chunk {
  readonly index: number
  readonly bodies: Uint8Array
  readonly sizes: readonly number[]
  readonly options: readonly (PortSendOptions | undefined)[] | undefined
}

export class PageProducer implements LineParticipant {
  readonly id: number
  readonly #line: PageLine
  readonly #topic: string
  readonly #home: Home
  /** `sequenceNext`: after the last that was answered. */
  #identity = { producerId: randomId(), producerEpoch: 0, sequenceNext: 0 }
  #indexNext = 0
  /** Not posted yet, in order: what is given up here never is. */
  readonly #gathered = new Set<Entry>()
  #gatheredBytes = 0
  /** In chunks, and not answered. */
  readonly #entries = new Map<number, Entry>()
  /** Stored here, and not known to be at the relay. What is refused there, the `error` event tells too. */
  readonly #relaying = new Map<number, QuietPromise<SendReceipt>>()
  #chunks: Chunk[] = []
  #pendingBytes = 0
  #waiters: (() => void)[] = []
  #closers: (() => void)[] = []
  #isFlushDue = false
  #isHurried = false
  #isAttached = false

  constructor(line: PageLine, topic: string, home: Home) {
    this.id = line.nextId()
    this.#line = line
    this.#topic = topic
    this.#home = home
  }

  get inFlightCount(): number {
    return this.#entries.size + this.#gathered.size
  }

  send<T>(codec: Codec<T>, value: T, options: WebSendOptions | undefined): Promise<WebSendReceipt> {
    const { signal, until, ...rest } = options ?? {}
    let body: Uint8Array
    try {
      if (this.#line.end !== undefined) throw this.#line.end
      throwIfAborted(signal)
      body = codec.encode(value)
      if (!(body instanceof Uint8Array)) throw new PocketError('BAD_ARGUMENT', `codec ${codec.name} gave no bytes`)
      if (this.#pendingBytes > pendingBytesMax) {
        throw new PocketError('OVERLOADED', `${this.#pendingBytes} bytes wait to be sent; wait for ready() between sends`)
      }
    } catch (cause) {
      return Promise.reject(asSendError(cause))
    }
    if (this.#gatheredBytes + body.length > chunkBytesMax) this.#flush()
    return new Promise((resolve, reject) => {
      const isUntilRelay = until === 'relay'
      const entry: Entry = { resolve, reject, isUntilRelay, options: options && rest, body, stopListening: ignore }
      this.#gathered.add(entry)
      this.#gatheredBytes += body.length
      this.#pendingBytes += body.length
      if (!this.#isFlushDue && this.#mayPost) {
        this.#isFlushDue = true
        queueMicrotask(() => this.#flush())
      }
      if (signal !== undefined) entry.stopListening = onAbort(signal, (error) => this.#giveUp(entry, error))
    })
  }

  /** Nobody waits for it any more; where it was not posted yet it never is. */
  #giveUp(entry: Entry, error: PocketError): void {
    entry.reject(error)
    if (!this.#gathered.delete(entry)) return
    this.#gatheredBytes -= entry.body.length
    this.#pendingBytes -= entry.body.length
    this.#wake()
  }

  ready(): Promise<void> {
    if (this.inFlightCount < roomCount && this.#pendingBytes < roomBytes) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** The page is about to go: what is sent from here on is posted at once. */
  leaving(): void {
    this.#isHurried = true
    this.#flush()
  }

  /** Resolves when all that was sent is answered. */
  async close(): Promise<void> {
    this.#flush()
    while (this.inFlightCount > 0) await new Promise<void>((answered) => this.#closers.push(answered))
    await this.#line.call('closeProducer', [this.id]).catch(ignore)
    this.#line.participants.delete(this.id)
  }

  // ── the engine's side ─────────────────────────────────────────────────────────────────────────────────────────

  attached(): void {
    this.#isHurried = false
    this.#isAttached = true
    this.#begin()
    this.#flush()
  }

  /** Under its identity goes all that is not answered. */
  #begin(): void {
    this.#line.post({ kind: 'producer', producer: this.id, topic: this.#topic, home: this.#home, ...this.#identity })
    for (const chunk of this.#chunks) this.#post(chunk)
  }

  lost(error: PocketError): void {
    this.#isAttached = false
    // They are stored, and go on their way with the next engine; but nobody here will hear of it.
    for (const { reject } of this.#relaying.values()) reject(error)
    this.#relaying.clear()
  }

  ended(error: PocketError): void {
    this.lost(error)
    for (const { reject, stopListening } of [...this.#entries.values(), ...this.#gathered]) {
      stopListening()
      reject(error)
    }
    this.#entries.clear()
    this.#gathered.clear()
    this.#chunks = []
    for (const wake of [...this.#waiters.splice(0), ...this.#closers.splice(0)]) wake()
  }

  hear(message: FromEngine): void {
    switch (message.kind) {
      case 'sent':
      case 'relayed':
        return this.#sent(message)
      case 'refused':
      case 'relay-refused':
        return this.#refused(message)
      case 'resend':
        return this.#begin()
      case 'renumbered': {
        const { producerId, producerEpoch, sequenceNext } = message
        this.#identity = { producerId, producerEpoch, sequenceNext }
      }
    }
  }

  #sent({ kind, index, idPrefix, places, rare }: Sent): void {
    const count = places.length / 4
    for (let at = 0; at < count; at++) {
      const receipt: SendReceipt = {
        messageId: idPrefix + (places[at * 4] as number),
        queueId: numberOf(places[at * 4 + 1]),
        offset: numberOf(places[at * 4 + 2]),
        epoch: numberOf(places[at * 4 + 3]),
        duplicate: false,
        durability: 'strict',
        deliverMs: undefined,
        recallHandle: undefined,
        ...rare?.get(at),
      }
      if (kind === 'relayed') this.#takeRelaying(index + at)?.resolve(receipt)
      else this.#stored(index + at, receipt)
    }
    if (kind === 'relayed') return
    const [producerId, epoch] = idPrefix.split('-')
    this.#identity = {
      producerId: producerId as string,
      producerEpoch: Number(epoch),
      sequenceNext: (places[places.length - 4] as number) + 1,
    }
    this.#answered(index, count)
  }

  #refused({ kind, index, error: wire }: SendRefused): void {
    const error = wireToError(wire)
    if (kind === 'relay-refused') return this.#takeRelaying(index)?.reject(error)
    const entry = this.#entries.get(index)
    this.#entries.delete(index)
    entry?.stopListening()
    entry?.reject(error)
    this.#answered(index, 1)
  }

  #stored(index: number, receipt: SendReceipt): void {
    const entry = this.#entries.get(index)
    if (entry === undefined) return
    this.#entries.delete(index)
    if (!entry.isUntilRelay) entry.stopListening()
    if (this.#home === 'device') return entry.resolve({ ...receipt, storedAt: 'device', relayed: undefined })
    const relaying = new QuietPromise<SendReceipt>()
    const relayed = relaying.promise
    this.#relaying.set(index, relaying)
    if (!entry.isUntilRelay) return entry.resolve({ ...receipt, storedAt: 'device', relayed })
    relayed.then((last) => entry.resolve({ ...last, storedAt: 'relay', relayed }), entry.reject).finally(entry.stopListening)
  }

  #takeRelaying(index: number): QuietPromise<SendReceipt> | undefined {
    const relaying = this.#relaying.get(index)
    this.#relaying.delete(index)
    return relaying
  }

  /** Chunks that are answered to the end are forgotten. */
  #answered(index: number, count: number): void {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      let isDone = chunk.index < index + count
      for (let at = 0; isDone && at < chunk.sizes.length; at++) isDone = !this.#entries.has(chunk.index + at)
      if (!isDone) break
      this.#chunks.shift()
      this.#pendingBytes -= chunk.bodies.length
    }
    this.#wake()
    if (this.#mayPost) this.#flush()
  }

  #wake(): void {
    if (this.#waiters.length > 0 && this.inFlightCount < roomCount * 0.75 && this.#pendingBytes < roomBytes * 0.75) {
      for (const wake of this.#waiters.splice(0)) wake()
    }
    for (const wake of this.#closers.splice(0)) wake()
  }

  /**
   * While two chunks are on their way, more is gathered until an answer comes: a loop that awaits `ready` between sends
   * would otherwise make a chunk, and the engine a batch, of each message.
   */
  get #mayPost(): boolean {
    return this.#isHurried || this.#chunks.length < chunksInFlightMax || this.#gathered.size >= gatheredCountMax
  }

  /** Posts what is gathered. While no engine is there it stays, so that it can be given up until one comes. */
  #flush(): void {
    this.#isFlushDue = false
    while (this.#isAttached && this.#gathered.size > 0) this.#postGathered()
  }

  #postGathered(): void {
    const index = this.#indexNext
    const taken: Entry[] = []
    let byteCount = 0
    for (const entry of this.#gathered) {
      if (byteCount > 0 && byteCount + entry.body.length > chunkBytesMax) break
      byteCount += entry.body.length
      taken.push(entry)
    }
    const bodies = new Uint8Array(byteCount)
    const sizes: number[] = []
    let options: (PortSendOptions | undefined)[] | undefined
    let position = 0
    for (const entry of taken) {
      const { body } = entry
      bodies.set(body, position)
      position += body.length
      if (entry.options !== undefined) (options ??= [])[sizes.length] = entry.options
      sizes.push(body.length)
      entry.body = noBytes
      this.#gathered.delete(entry)
      this.#entries.set(this.#indexNext++, entry)
    }
    this.#gatheredBytes -= byteCount
    const chunk = { index, bodies, sizes, options }
    this.#chunks.push(chunk)
    this.#post(chunk)
  }

  /** Without what is answered already: that was the first part of it. */
  #post({ index, bodies, sizes, options }: Chunk): void {
    let from = 0
    let position = 0
    while (from < sizes.length && !this.#entries.has(index + from)) position += sizes[from++] as number
    if (from === sizes.length) return
    // Cloned, not handed over: it may have to be posted again.
    this.#line.post({
      kind: 'send',
      producer: this.id,
      index: index + from,
      bodies: from === 0 ? bodies : bodies.slice(position),
      sizes: sizes.slice(from),
      options: options?.slice(from),
    })
  }
}

function numberOf(value: number | undefined): number | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : value
}

function asSendError(cause: unknown): PocketError {
  if (cause instanceof PocketError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  return new PocketError('BAD_ARGUMENT', `the message cannot be encoded: ${text}`, { cause })
}

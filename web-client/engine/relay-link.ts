// A device's one connection to its relay, shared by its tabs: with the outbox, through which relay topics are sent to,
// and the copies of topics, out of which BROADCASTING consumers read, both with and without a connection.

import { must } from '../../core/assert.ts'
import type { ConsumeOptions, GapEvent, PushConsumer } from '../../core/client/api.ts'
import { createRelayClient } from '../../core/client/client.ts'
import { CopyReader } from '../../core/client/copy-reader.ts'
import type { HostClient, ProducerIdentity, RelayClient } from '../../core/client/host-client.ts'
import { Outbox, type StoredHere } from '../../core/client/outbox.ts'
import type { OutboxRefusal } from '../../core/client/outbox-lane.ts'
import type { OutboxProducer } from '../../core/client/outbox-producer.ts'
import { TopicCopies } from '../../core/client/topic-copies.ts'
import { PocketError } from '../../core/errors.ts'
import { defaultLimits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import type { Random } from '../../core/ports/random.ts'
import type { Dialler } from '../../core/ports/transport.ts'
import { MessageScanner } from '../../core/record/message-codec.ts'
import { encodeRecordBatch, producerIdToBytes } from '../../core/record/record-batch.ts'
import { Replica } from '../../core/replica/replica.ts'
import { createSharedStore } from '../../core/storage/shared-store.ts'
import { errorToWire } from '../port/errors.ts'
import type { WireError } from '../port/port-protocol.ts'
import type { DeviceStores } from '../store/device-stores.ts'
import { SwitchedDialler } from './switched-dialler.ts'

export type { OutboxProducer } from '../../core/client/outbox-producer.ts'
export type { OutboxRefusal } from '../../core/client/outbox-lane.ts'
export type { OutboxSend } from '../../core/client/outbox-entry.ts'

const replicaBytesMaxDefault = 128 * 1024 * 1024

export interface RelayLinkOptions {
  /** Of the relay, for logs. */
  readonly url: string
  readonly dialler: Dialler
  readonly stores: Pick<DeviceStores, 'outbox' | 'replica'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Asked before each connection; what it throws, or a token that is refused, only delays the next try. */
  readonly token: (
    context: { readonly reason: 'connect' | 'reconnect'; readonly signal: AbortSignal },
  ) => string | Promise<string>
  /** Name for people. */
  readonly clientName: string
  /** Most bytes that wait in the outbox; beyond, `send` gives STORE_FULL. Default 256 MiB. */
  readonly outboxBytesMax?: number
  /** Most bytes of copies; beyond, the oldest messages go. Default 128 MiB. */
  readonly replicaBytesMax?: number
  /** Something of the status has changed. */
  readonly changed: () => void
  readonly gap: (gap: GapEvent) => void
  /** Something failed that no call was waiting for. */
  readonly error: (error: PocketError) => void
  /** The outbox's store failed, and what became of its last commit is unknown: all is to be opened anew. */
  readonly failed?: (error: PocketError) => void
  /** The relay refused stored messages for good. Without it `error` tells of them. */
  readonly refused?: (refusal: OutboxRefusal) => void
}

export interface RelayLinkStatus {
  readonly link: 'connecting' | 'connected' | 'waiting' | 'closed'
  readonly linkError?: WireError
  /** As `setOffline` said. */
  readonly isOffline: boolean
  readonly outboxCount: number
  readonly outboxBytes: number
  readonly outboxOldestMs?: number
  readonly lag: number
}

export interface BroadcastOptions extends ConsumeOptions {
  /** What this device sends comes at once, with `pending: true` and the id as it was stored, and again from the relay. */
  readonly echo?: boolean
}

export interface RelayProducerOptions {
  readonly identity: ProducerIdentity
  readonly stopped?: () => void
}

/** The device's one connection to its relay, with the outbox and the copies of topics. */
export interface RelayLink {
  /** CLUSTERING consumers, receivers, pulls, requests, transactions, admin: straight to the relay. */
  readonly client: HostClient
  readonly status: RelayLinkStatus
  /**
   * A producer that counts as its page does. The page's numbers stay valid whatever the relay refuses, so it need not be
   * told of new ones: ids of what it sends from then on show them. Where the device refuses something nothing behind it is
   * taken (`stopped`): the page is to open the producer anew. Throws BAD_NAME, CLOSED or STORE_FAILED.
   */
  producer(topic: string, options: RelayProducerOptions): OutboxProducer
  /**
   * A BROADCASTING consumer of the device's copy: reads on while offline, from where its group stands on this device.
   * `subscribed` waits for the relay only where the copy can't say where to begin. Throws as `Topic.consume` does.
   */
  broadcast(topic: string, options: BroadcastOptions): PushConsumer<Uint8Array>
  /** Try the connection now: the device is back online, or awake. */
  nudge(): void
  /** Cuts the connection and makes none, or makes it again. */
  setOffline(isOffline: boolean): void
  /** What is in the outbox is sent when it is opened again. Repeating it gives the same promise. */
  close(): Promise<void>
}

/** Goes on with what the stores hold, and begins to connect. Throws STORE_FAILED. */
export async function openRelayLink(options: RelayLinkOptions): Promise<RelayLink> {
  const { stores, clock, random, log, error, changed, refused, failed } = options
  const echoes = new Echoes()
  const outbox = await Outbox.open({
    store: stores.outbox,
    clock, random, log, error, changed, failed,
    ...(options.outboxBytesMax === undefined ? {} : { bytesMax: options.outboxBytesMax }),
    refused: refused ?? ((refusal) => error(errorOf(refusal))),
    stored: (stored) => echoes.stored(stored),
  })
  const store = createSharedStore(stores.replica)
  const replica = await Replica.open(store, error)
  return new DeviceRelayLink(options, outbox, echoes, (client) => new TopicCopies({
    client, replica, store, clock, random, log, error, changed,
    bytesMax: options.replicaBytesMax ?? replicaBytesMaxDefault,
  }))
}

class DeviceRelayLink implements RelayLink {
  readonly #client: RelayClient
  readonly #dialler: SwitchedDialler
  readonly #outbox: Outbox
  readonly #echoes: Echoes
  readonly #changed: () => void
  readonly #copies: TopicCopies
  #linkError: PocketError | undefined
  #closing: Promise<void> | undefined

  constructor(options: RelayLinkOptions, outbox: Outbox, echoes: Echoes, copiesOf: (client: RelayClient) => TopicCopies) {
    const { clock, random, log, token, clientName, changed, gap, error, url } = options
    const dialler = new SwitchedDialler(options.dialler)
    this.#dialler = dialler
    this.#outbox = outbox
    this.#echoes = echoes
    this.#changed = changed
    this.#client = createRelayClient({ dialler, clock, random, log }, { name: clientName, auth: token })
    this.#client.on('link', ({ state, error: why }) => {
      this.#linkError = why
      log.debug('relay link', { url, state, ...(why === undefined ? {} : { error: why.message }) })
      changed()
    })
    this.#client.on('gap', gap)
    this.#client.on('error', error)
    this.#client.carry(outbox)
    this.#copies = copiesOf(this.#client)
  }

  get client(): HostClient {
    return this.#client
  }

  get status(): RelayLinkStatus {
    const { count, bytes, oldestMs } = this.#outbox
    return {
      link: this.#client.link,
      ...(this.#linkError === undefined ? {} : { linkError: errorToWire(this.#linkError) }),
      isOffline: this.#dialler.isOffline,
      outboxCount: count,
      outboxBytes: bytes,
      ...(oldestMs === undefined ? {} : { outboxOldestMs: oldestMs }),
      lag: this.#copies.lag,
    }
  }

  producer(topic: string, { identity, stopped }: RelayProducerOptions): OutboxProducer {
    return this.#outbox.producer(topic, identity, stopped)
  }

  broadcast(topic: string, { echo = false, ...options }: BroadcastOptions): PushConsumer<Uint8Array> {
    return this.#client.consumeStream(topic, options, (terms, owner) => {
      const reader = new CopyReader(this.#copies, terms, owner, {
        from: options.from ?? 'latest',
        positions: options.positions,
        over: (ended) => this.#echoes.remove(topic, ended),
      })
      if (echo) this.#echoes.add(topic, reader)
      return reader
    })
  }

  nudge(): void {
    this.#client.nudge()
  }

  setOffline(isOffline: boolean): void {
    this.#dialler.setOffline(isOffline)
    if (!isOffline) this.#client.nudge()
    this.#changed()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // Before the client: it would wait for what only the relay can answer.
    await this.#outbox.close()
    await this.#client.close()
    await this.#copies.close()
  }
}

/** Who gets what this device sends before the relay has it, by topic. */
class Echoes {
  readonly #readers = new Map<string, Set<CopyReader>>()
  readonly #scanner = new MessageScanner(defaultLimits, 'stored')

  add(topic: string, reader: CopyReader): void {
    const readers = this.#readers.get(topic)
    if (readers === undefined) this.#readers.set(topic, new Set([reader]))
    else readers.add(reader)
  }

  remove(topic: string, reader: CopyReader): void {
    const readers = this.#readers.get(topic)
    if (readers?.delete(reader) === true && readers.size === 0) this.#readers.delete(topic)
  }

  stored(stored: StoredHere): void {
    const readers = this.#readers.get(stored.topic)
    // What is to come later is not there yet.
    if (readers === undefined || stored.isScheduled) return
    const record = this.#recordOf(stored)
    for (const reader of [...readers]) reader.echo(record)
  }

  #recordOf({ producerId, producerEpoch, baseSequence, messageCount, storedMs, messages }: StoredHere): Uint8Array {
    const scanner = this.#scanner
    const starts: number[] = []
    const ends: number[] = []
    const tagHashes: number[] = []
    scanner.reset(messages, 0, messages.length)
    while (!scanner.atEnd) {
      scanner.next()
      starts.push(scanner.start)
      ends.push(scanner.end)
      tagHashes.push(scanner.tagHash)
    }
    must(starts[0], 'a batch has messages')
    return encodeRecordBatch({ epoch: 0, baseOffset: 0, storedMs }, [{
      producerId: producerIdToBytes(producerId), producerEpoch, baseSequence, batchCount: messageCount,
      source: messages, starts, ends, tagHashes, groupHashes: undefined, ttls: undefined,
    }])
  }
}

function errorOf({ topic, messageIds, error }: OutboxRefusal): PocketError {
  const what = messageIds.length === 1 ? `message ${messageIds[0]}` : `${messageIds.length} messages from ${messageIds[0]} on`
  return new PocketError(error.code, `the relay refused ${what} of '${topic}': ${error.message}`, { cause: error })
}

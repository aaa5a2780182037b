// A device with a relay link over disks that outlive it, and a relay with a real broker, in simulated time. The device's
// engine can die in the middle and be opened again; the network and the relay can go away.

import type { GapEvent, Message, PushConsumer, SendOptions } from '../../core/client/api.ts'
import type { ProducerIdentity } from '../../core/client/host-client.ts'
import type { PocketError } from '../../core/errors.ts'
import { silentLog } from '../../core/ports/log.ts'
import {
  openRelayLink, type OutboxProducer, type OutboxRefusal, type OutboxSend, type RelayLink, type RelayLinkOptions,
} from '../../web-client/engine/relay-link.ts'
import { ClientWorld, type ClientWorldOptions } from '../core/client/client-world.ts'
import { createSimStore, type SimStore } from '../sim/sim-store.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const bodyOf = (text: string): Uint8Array => encoder.encode(text)
export const textOf = (message: Pick<Message<unknown>, 'body'>): string => decoder.decode(message.body)

export class DeviceWorld {
  readonly relay: ClientWorld
  outbox: SimStore
  replica: SimStore
  link!: RelayLink
  readonly errors: PocketError[] = []
  readonly gaps: GapEvent[] = []
  readonly refusals: OutboxRefusal[] = []
  #options: Partial<RelayLinkOptions> = {}
  #engineCount = 0

  private constructor(relay: ClientWorld) {
    this.relay = relay
    const { clock, random } = relay
    this.outbox = createSimStore({ clock, random: random.fork('outbox'), faults: { commitLatencyMs: [2, 2] } })
    this.replica = createSimStore({ clock, random: random.fork('replica'), faults: { commitLatencyMs: [2, 2] } })
  }

  static async open(options: Partial<RelayLinkOptions> = {}, relay: ClientWorldOptions = {}): Promise<DeviceWorld> {
    const world = new DeviceWorld(await ClientWorld.open(relay))
    await world.start(options)
    return world
  }

  async start(options: Partial<RelayLinkOptions> = this.#options): Promise<void> {
    this.#options = options
    const { clock, random, network } = this.relay
    this.link = await this.relay.until(openRelayLink({
      url: 'relay', dialler: network, clock, log: silentLog,
      random: random.fork(`engine ${this.#engineCount++}`),
      stores: { outbox: this.outbox, replica: this.replica },
      token: () => '',
      clientName: 'device',
      changed: () => {},
      gap: (gap) => this.gaps.push(gap),
      error: (error) => this.errors.push(error),
      refused: (refusal) => this.refusals.push(refusal),
      ...options,
    }))
  }

  /** The engine dies, with whatever it was at; its connection is noticed to be gone. */
  crash(): void {
    this.outbox.crash()
    this.replica.crash()
    this.relay.network.cut()
  }

  /** A new engine over what the old one left on the disks. */
  async restart(options?: Partial<RelayLinkOptions>): Promise<void> {
    this.crash()
    await this.reopen(options)
  }

  async reopen(options?: Partial<RelayLinkOptions>): Promise<void> {
    this.outbox = this.outbox.reopen()
    this.replica = this.replica.reopen()
    // Of the dead engine nothing is left but what this test holds; its stores are gone.
    void this.link.close()
    await this.start(options)
  }

  /** The engine dies, and a new one finds nothing on the disks. */
  async restartEmpty(): Promise<void> {
    this.crash()
    const { clock, random } = this.relay
    void this.link.close()
    this.outbox = createSimStore({ clock, random: random.fork('outbox anew') })
    this.replica = createSimStore({ clock, random: random.fork('replica anew') })
    await this.start()
  }

  goOffline(): void {
    this.relay.network.isDown = true
    this.relay.network.cut()
  }

  goOnline(): void {
    this.relay.network.isDown = false
  }

  producer(topic: string, identity: Partial<ProducerIdentity> = {}, stopped?: () => void): OutboxProducer {
    const { producerId = '00000000000000aa', producerEpoch = 0, sequenceNext = 0 } = identity
    const options = { identity: { producerId, producerEpoch, sequenceNext } }
    return this.link.producer(topic, stopped === undefined ? options : { ...options, stopped })
  }

  /** Sends in one turn. */
  send(producer: OutboxProducer, texts: readonly string[], options?: SendOptions): OutboxSend[] {
    return texts.map((text) => producer.send(bodyOf(text), options))
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.relay.until(promise)
  }

  /** What the relay has of a topic, in the order of each queue. */
  async atRelay(topic: string): Promise<{ readonly text: string; readonly messageId: string; readonly queueId: number }[]> {
    const client = await this.relay.connect()
    const found: { text: string; messageId: string; queueId: number }[] = []
    const consumer = client.topic(topic).consume({ group: `all-${this.#engineCount++}`, mode: 'BROADCASTING', from: 'earliest' })
    void consumer.run((message) => {
      found.push({ text: textOf(message), messageId: message.messageId, queueId: message.queueId })
    })
    await this.relay.pass(1_000)
    await this.until(client.close())
    return found
  }
}

/** What a consumer got so far. */
export function collect(
  consumer: PushConsumer<Uint8Array>,
): { readonly messages: Message<Uint8Array>[]; readonly texts: string[] } {
  const messages: Message<Uint8Array>[] = []
  const texts: string[] = []
  consumer.run((message) => {
    messages.push(message)
    texts.push((message as { readonly pending?: boolean }).pending === true ? `(${textOf(message)})` : textOf(message))
  }).catch(() => {})
  return { messages, texts }
}

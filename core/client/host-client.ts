// A client for a host that acts for others, as a worker does for its tabs: it takes the identities of producers that
// live longer than itself, so that what they send again is recognised. Types alone; client.ts makes it.

import type { Client, ConsumeOptions, PushConsumer, SendOptions, SendReceipt } from './api.ts'
import type { Outbox } from './outbox.ts'
import type { ProducerIdentity } from './producer-identity.ts'
import type { OpenStream } from './subscription.ts'

export type { ProducerIdentity } from './producer-identity.ts'

export interface HostProducer {
  /** As `Topic.send`; the body goes as it is. */
  send(body: Uint8Array, options?: SendOptions): Promise<SendReceipt>
  /** Ends the batch: what is sent from here on goes into another, so that a resend is cut as the first try was. */
  seal(): void
  /** No further `send`; resolves when all before it are answered. */
  close(): Promise<void>
  /** See {@link HostProducerOptions.stopped}. */
  readonly isStopped: boolean
}

export interface HostProducerOptions {
  readonly identity: ProducerIdentity
  /** What is not answered goes again under this identity, from its sequence on; told before `stopped`. */
  readonly renumbered: (identity: ProducerIdentity) => void
  /**
   * Something was refused, all before it is answered and nothing behind it is stored: that is not answered any more, and
   * nothing more is taken. Its owner opens a producer anew and sends it again, when it has heard of the refusal: it counts
   * for itself, and must not be ahead of what it knows.
   */
  readonly stopped: () => void
}

export interface HostClient extends Client {
  /** A producer of a topic under an identity that its owner keeps. Throws BAD_NAME or CLOSED. */
  producer(topic: string, options: HostProducerOptions): HostProducer
}

/** The one connection of a device to its relay, for all its tabs. It never gives up by itself. */
export interface RelayClient extends HostClient {
  /** What is in the outbox goes over this client from now on. */
  carry(outbox: Outbox): void
  /** A BROADCASTING consumer whose messages come by another way than from the relay. Throws as `Topic.consume` does. */
  consumeStream(topic: string, options: ConsumeOptions, openStream: OpenStream): PushConsumer<Uint8Array>
  /** The network may be another: tries at once where it waits, and asks a connection that is up whether it is. */
  nudge(): void
}

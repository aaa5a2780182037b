// Transactions as a test asks for them, over a BrokerWorld: ids are numbers, messages are texts, and producers write down
// what they are asked.

import type {
  Answer, Cancellable, ProducerSink, TransactionCheck, TransactionEnded,
} from '../../../core/broker/door.ts'
import { bytesToText } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import type { StoredMessage } from '../../../core/model/message.ts'
import type { TopicDescription, TransactionOutcome, TransactionSummary } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { type BrokerWorld, encodeMessages, idBytes, type OutMessage } from './broker-world.ts'

export interface Part {
  readonly topic?: string
  readonly base?: number
  readonly group?: string
  readonly checkAfterMs?: number
}

export interface End {
  readonly count?: number
  readonly group?: string
}

/** Asks for a part to be prepared; the outcome's code, or `done`. */
export async function prepare(
  world: BrokerWorld, id: number, messages: readonly (string | OutMessage)[], part: Part = {},
): Promise<string> {
  return codeOf(await world.ask<void>((answer) => prepareNow(world, id, messages, part, answer)))
}

/** The same without waiting. */
export function prepareNow(
  world: BrokerWorld, id: number, messages: readonly (string | OutMessage)[], part: Part, answer: Answer<void>,
): void {
  const { topic = 't', base = 0, group = 'pg', checkAfterMs = 0 } = part
  world.broker.prepare({
    transactionId: idBytes(id),
    producerGroup: group,
    checkAfterMs,
    topic,
    baseSequence: base,
    messageCount: messages.length,
    messages: encodeMessages(messages, world.clock.now()),
  }, answer)
}

export function end(
  world: BrokerWorld, id: number, outcome: TransactionOutcome, how: End = {},
): Promise<TransactionEnded | PocketError> {
  return world.ask<TransactionEnded>((answer) => endNow(world, id, outcome, how, answer))
}

export function endNow(
  world: BrokerWorld, id: number, outcome: TransactionOutcome, { count = 1, group = 'pg' }: End,
  answer: Answer<TransactionEnded>,
): void {
  world.broker.endTransaction({ transactionId: idBytes(id), producerGroup: group, outcome, messageCount: count }, answer)
}

export function codeOf(outcome: unknown): string {
  return outcome instanceof PocketError ? outcome.code : 'done'
}

export async function list(world: BrokerWorld, producerGroup = '', after?: number, countMax = 1_000) {
  return world.must<{ transactions: readonly TransactionSummary[]; more: boolean }>((answer) =>
    world.broker.listTransactions({
      producerGroup, countMax, after: after === undefined ? undefined : idBytes(after),
    }, answer))
}

let readerCount = 0

/** What a topic holds for consumers, in the order a new group gets it. */
export async function messagesOf(world: BrokerWorld, topic = 't'): Promise<StoredMessage[]> {
  const reader = await world.join(topic, { group: `reader${readerCount++}` })
  await world.must<void>((answer) => reader.membership?.leave(answer))
  return reader.held.map(({ message }) => message)
}

export async function bodiesOf(world: BrokerWorld, topic = 't'): Promise<string[]> {
  return (await messagesOf(world, topic)).map(({ body }) => bytesToText(body))
}

export function createTopic(
  world: BrokerWorld, topic: string, options: Partial<TopicDescription['config']> = {},
): Promise<TopicDescription> {
  return world.must<TopicDescription>((answer) => world.broker.createTopic({
    topic,
    options: {
      queueCount: options.queueCount, messageType: options.messageType, retentionMs: options.retentionMs,
      retentionBytes: options.retentionBytes, cleanupPolicy: options.cleanupPolicy, ttlMs: options.ttlMs,
      tracePermille: options.tracePermille, durability: options.durability,
    },
  }, answer))
}

/** A check as a producer got it. */
export interface Asked {
  readonly id: number
  readonly group: string
  readonly checkCount: number
  readonly preparedMs: number
  readonly messages: readonly StoredMessage[]
  readonly atMs: number
}

export class TestProducer implements ProducerSink {
  readonly asked: Asked[] = []
  /** It takes so many more. */
  room = Infinity
  readonly #world: BrokerWorld

  constructor(world: BrokerWorld) {
    this.#world = world
  }

  static register(world: BrokerWorld, group = 'pg'): TestProducer & { registration: Cancellable } {
    const producer = new TestProducer(world)
    return Object.assign(producer, { registration: world.broker.registerProducer(group, producer) })
  }

  get ids(): number[] {
    return this.asked.map(({ id }) => id)
  }

  check({ transactionId, producerGroup, checkCount, preparedMs, messages }: TransactionCheck): boolean {
    if (this.room <= 0) return false
    this.room--
    this.asked.push({
      id: new DataView(transactionId.buffer, transactionId.byteOffset).getUint32(4),
      group: producerGroup,
      checkCount,
      preparedMs,
      messages: messages.flatMap(({ topic, record }) => {
        const batch = RecordBatch.open(record)
        return Array.from({ length: batch.messageCount }, (_, index) => batch.messageAt(index, topic, 0))
      }),
      atMs: this.#world.clock.monotonic(),
    })
    return true
  }
}

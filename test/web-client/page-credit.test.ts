// What a BROADCASTING consumer of the page tells its engine of messages that the application is done with: all of them, and
// not each in a message of its own.

import { expect, test, vi } from 'vitest'
import { bytes } from '../../core/client/codec.ts'
import { PageConsumer } from '../../web-client/page/page-consumer.ts'
import type { PageLine } from '../../web-client/page/page-line.ts'
import type { Credit, Delivered, FromPage } from '../../web-client/port/port-protocol.ts'

function consumerOnFakeLine() {
  const posted: FromPage[] = []
  const line = {
    nextId: () => 7,
    post: (message: FromPage) => void posted.push(message),
    call: async () => new Map(),
  } as unknown as PageLine
  const report = (error: unknown) => { throw error }
  const spec = { topic: 'news', home: 'device', group: 'all', mode: 'BROADCASTING' } as const
  const consumer = new PageConsumer({ line, report, spec, codec: bytes })
  const credits = () => posted.filter((message): message is Credit => message.kind === 'credit').map(({ count }) => count)
  return { consumer, credits }
}

function delivery(count: number): Delivered {
  const fields = Array.from({ length: count }, (_, offset) => ({
    messageId: `00000000000000aa-0-${offset}`, queueId: 0, epoch: 0, offset, bornMs: 0, storedMs: 0, attempt: 1,
  }))
  return { kind: 'messages', consumer: 7, handle: 0, fields, bodies: new Uint8Array(count), sizes: fields.map(() => 1) }
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)

test('a handler that keeps up gives all credit back at once, in few messages', () => {
  const { consumer, credits } = consumerOnFakeLine()
  void consumer.run(() => {}, { concurrency: 10 })
  consumer.hear(delivery(500))
  expect(sum(credits())).toBe(500)
  expect(credits().length).toBeLessThan(20)
})

test('a handler that gets stuck leaves no credit of those before it untold', async () => {
  const { consumer, credits } = consumerOnFakeLine()
  let seenCount = 0
  void consumer.run(() => (++seenCount === 4 ? new Promise<void>(() => {}) : undefined))
  consumer.hear(delivery(10))
  await vi.waitFor(() => expect(sum(credits())).toBe(3))
})

test('the message behind which nothing waits is told of at once', async () => {
  const { consumer, credits } = consumerOnFakeLine()
  const messages = consumer[Symbol.asyncIterator]()
  consumer.hear(delivery(1))
  await messages.next()
  void messages.next()
  expect(credits()).toEqual([1])
})

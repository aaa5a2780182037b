// What a page posts for a producer, and again when its engine asks or another one comes.

import { expect, test } from 'vitest'
import { bytes } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import { PageLine } from '../../web-client/page/page-line.ts'
import { PageProducer } from '../../web-client/page/page-producer.ts'
import type { FromEngine, FromPage } from '../../web-client/port/port-protocol.ts'

/** A producer on a line, and all that it has posted. */
function newProducer() {
  const posted: FromPage[] = []
  const line = new PageLine(() => {})
  const producer = new PageProducer(line, 'orders', 'relay')
  line.join(producer)
  const post = (message: unknown): void => void posted.push(message as FromPage)
  const attach = (): void => line.attached({ post, listen: () => () => {}, close() {} })
  const send = (text: string, signal?: AbortSignal) =>
    producer.send(bytes, new TextEncoder().encode(text), signal === undefined ? undefined : { signal })
  const hear = (message: object): void => producer.hear({ producer: producer.id, ...message } as unknown as FromEngine)
  const stored = (index: number, sequences: readonly number[]): void => hear({
    kind: 'sent', index, idPrefix: '00000000000000aa-0-',
    places: new Float64Array(sequences.flatMap((sequence) => [sequence, Number.NaN, Number.NaN, Number.NaN])),
  })
  return { line, producer, posted, attach, send, hear, stored }
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))
const sends = (posted: readonly FromPage[]) => posted.filter(({ kind }) => kind === 'send')
const full = { code: 'STORE_FULL', message: 'no room' }

test('what was posted behind a refusal is posted again when the engine asks for it', async () => {
  const { posted, attach, send, hear, stored } = newProducer()
  attach()
  const first = [send('m0'), send('m1')]
  await turn()
  const behind = send('m2')
  await turn()
  stored(0, [0])
  hear({ kind: 'refused', index: 1, error: full })
  posted.length = 0
  hear({ kind: 'resend' })
  expect(posted).toMatchObject([
    { kind: 'producer', producerId: '00000000000000aa', producerEpoch: 0, sequenceNext: 1 },
    { kind: 'send', index: 2, sizes: [2] },
  ])
  stored(2, [1])
  await expect(Promise.allSettled([...first, behind])).resolves.toMatchObject([
    { status: 'fulfilled' }, { status: 'rejected', reason: { code: 'STORE_FULL' } },
    { status: 'fulfilled', value: { messageId: '00000000000000aa-0-1' } },
  ])
})

test('it is closed when all is answered, by whichever engine', async () => {
  const { line, producer, posted, attach, send, stored } = newProducer()
  attach()
  void send('m0')
  let isClosed = false
  const closing = producer.close().then(() => (isClosed = true))
  await turn()
  line.lost(new PocketError('ENGINE_LOST', 'the engine ended'))
  await turn()
  expect(isClosed).toBe(false)
  posted.length = 0
  attach()
  expect(sends(posted)).toHaveLength(1)
  stored(0, [0])
  await turn()
  // Asked, and answered by nobody here.
  expect(posted.at(-1)).toMatchObject({ type: 'APPLY', path: ['closeProducer'] })
  line.lost(new PocketError('ENGINE_LOST', 'the engine ended'))
  await closing
})

test('a message that is given up before it was posted never is', async () => {
  const { producer, posted, attach, send, stored } = newProducer()
  attach()
  const giveUp = new AbortController()
  const kept = [send('m0')]
  const early = send('gone', giveUp.signal)
  kept.push(send('m1'))
  giveUp.abort()
  await expect(early).rejects.toMatchObject({ code: 'ABORTED' })
  await turn()
  expect(sends(posted)).toMatchObject([{ index: 0, sizes: [2, 2] }])
  // Gathered behind two chunks.
  kept.push(send('m2'))
  await turn()
  const gathering = new AbortController()
  const late = Promise.allSettled([send('gone', gathering.signal), send('gone', gathering.signal)])
  kept.push(send('m3'))
  gathering.abort()
  expect(producer.inFlightCount).toBe(4)
  stored(0, [0, 1])
  stored(2, [2])
  await turn()
  expect(sends(posted)).toMatchObject([{ index: 0 }, { index: 2, sizes: [2] }, { index: 3, sizes: [2] }])
  stored(3, [3])
  await expect(Promise.all(kept)).resolves.toHaveLength(4)
  const aborted = { status: 'rejected', reason: { code: 'ABORTED' } }
  await expect(late).resolves.toMatchObject([aborted, aborted])
})

test('what is sent while no engine is there can be given up until one comes', async () => {
  const { line, posted, attach, send } = newProducer()
  attach()
  line.lost(new PocketError('ENGINE_LOST', 'the engine ended'))
  const giveUp = new AbortController()
  const gone = send('gone', giveUp.signal)
  const kept = send('m0')
  await turn()
  giveUp.abort()
  await expect(gone).rejects.toMatchObject({ code: 'ABORTED' })
  attach()
  expect(sends(posted)).toMatchObject([{ index: 0, sizes: [2] }])
  line.ended(new PocketError('ENGINE_LOST', 'the engine ended'))
  await expect(kept).rejects.toMatchObject({ code: 'ENGINE_LOST' })
})

test('much that was sent while no engine was there is posted in chunks', async () => {
  const { posted, attach, producer } = newProducer()
  for (let at = 0; at < 5; at++) void producer.send(bytes, new Uint8Array(100 * 1024), undefined).catch(() => {})
  await turn()
  attach()
  expect(sends(posted).map((message) => ('sizes' in message ? message.sizes.length : 0))).toEqual([2, 2, 1])
})

test('a signal of many sends keeps nothing of those that are settled', async () => {
  const { attach, send, hear, stored } = newProducer()
  attach()
  const { signal } = new AbortController()
  let listenerCount = 0
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listenerCount++
    addEventListener.apply(signal, args)
  }
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listenerCount--
    removeEventListener.apply(signal, args)
  }
  const sent = [send('m0', signal), send('m1', signal)]
  expect(listenerCount).toBe(2)
  await turn()
  stored(0, [0])
  hear({ kind: 'refused', index: 1, error: full })
  await Promise.allSettled(sent)
  expect(listenerCount).toBe(0)
})

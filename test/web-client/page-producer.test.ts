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
  const send = (text: string) => producer.send(bytes, new TextEncoder().encode(text), undefined)
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

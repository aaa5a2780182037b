// A receiver of the page over the engines it meets: what it asked of one that ended it asks of the next.

import { expect, test } from 'vitest'
import { bytes } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import { PageLine } from '../../web-client/page/page-line.ts'
import { PageReceiver } from '../../web-client/page/page-readers.ts'

interface Asked {
  readonly id: number
  readonly path: readonly [string]
}

const lost = new PocketError('ENGINE_LOST', 'the engine ended')

/** A receiver on a line whose engines are played by the test. */
function newReceiver() {
  const posted: object[] = []
  const line = new PageLine(() => {})
  let hear: (message: unknown) => void = () => {}
  const attach = () => line.attached({
    post: (message) => void posted.push(message as object),
    listen: (listener) => {
      hear = listener
      return () => {}
    },
    close() {},
  })
  const spec = { topic: 'jobs', home: 'device', group: 'workers' } as const
  const receiver = new PageReceiver({ line, report: () => {}, spec, codec: bytes })
  line.join(receiver)
  const asked = (method: string) =>
    posted.filter((message): message is Asked => 'path' in message && (message as Asked).path[0] === method)
  /** Answers the latest call of the method. */
  const answer = (method: string, value: unknown) => hear({ id: asked(method).at(-1)?.id, type: 'RAW', value: { value } })
  return { line, receiver, posted, attach, asked, answer }
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))
const fields = [{ messageId: '00000000000000aa-0-0', queueId: 0, epoch: 0, offset: 0, bornMs: 0, storedMs: 0, attempt: 1 }]
const received = { fields, bodies: new Uint8Array(1), sizes: [1], handle: 5 }

test('what comes of the next engine for a receive that was given up goes back to that engine', async () => {
  const { line, receiver, posted, attach, answer } = newReceiver()
  attach()
  answer('openReceiver', undefined)
  const giveUp = new AbortController()
  const receiving = receiver.receive({ signal: giveUp.signal })
  await turn()
  giveUp.abort()
  await expect(receiving).rejects.toMatchObject({ code: 'ABORTED' })
  line.lost(lost)
  attach()
  answer('openReceiver', undefined)
  answer('receive', received)
  await turn()
  expect(posted.at(-1)).toMatchObject({ kind: 'settle', consumer: receiver.id, handles: [5], verb: 'release' })
})

test('an engine that ends while the receiver is being opened costs a receive nothing', async () => {
  const { line, receiver, attach, asked, answer } = newReceiver()
  attach()
  const receiving = receiver.receive()
  await turn()
  line.lost(lost)
  await turn()
  attach()
  answer('openReceiver', undefined)
  await turn()
  expect(asked('receive')).toHaveLength(1)
  answer('receive', received)
  await expect(receiving).resolves.toHaveLength(1)
  await expect(receiver.subscribed).resolves.toBeUndefined()
})

// Replies between connections of one relay: who gets one, who does not, and what a reply may be.

import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { defaultLimits } from '../../../core/limits.ts'
import { ReplyRouter, type ReplyTarget } from '../../../core/session/reply-router.ts'
import { encodeMessages } from '../../support/messages.ts'
import { messagesOf } from './session-world.ts'

interface FakeTarget extends ReplyTarget {
  hasRoom: boolean
  readonly got: string[]
}

function targetOf(clientId = 'asker', principalName = 'somebody'): FakeTarget {
  const got: string[] = []
  return { clientId, principalName, hasRoom: true, got, replied: (correlationId) => void got.push(correlationId) }
}

function outcomeOf(router: ReplyRouter, replyTo = 'asker', message = messagesOf(1), correlationId = 'q-1'): string {
  try {
    router.send({ replyTo, correlationId, message })
  } catch (error) {
    return error instanceof PocketError ? error.code : `not coded: ${String(error)}`
  }
  return 'sent'
}

describe('a reply', () => {
  test('goes to the connection of the client that is named, and to no other', () => {
    const router = new ReplyRouter(defaultLimits)
    const [asker, other] = [targetOf('asker'), targetOf('other')]
    router.join(asker)
    router.join(other)
    expect(outcomeOf(router)).toBe('sent')
    expect([asker.got, other.got]).toEqual([['q-1'], []])
  })

  test('goes to the newest connection of a client, and to the older one once that has gone', () => {
    const router = new ReplyRouter(defaultLimits)
    const [older, newer] = [targetOf(), targetOf()]
    router.join(older)
    router.join(newer)
    expect(outcomeOf(router)).toBe('sent')
    router.leave(newer)
    expect(outcomeOf(router)).toBe('sent')
    expect([older.got, newer.got]).toEqual([['q-1'], ['q-1']])
  })

  test('to nobody is refused with REQUESTER_GONE: never there, gone, or without a client id', () => {
    const router = new ReplyRouter(defaultLimits)
    const [asker, nameless] = [targetOf(), targetOf('')]
    router.join(asker)
    router.join(nameless)
    router.leave(asker)
    router.leave(asker)
    expect(outcomeOf(router)).toBe('REQUESTER_GONE')
    expect(outcomeOf(router, '__proto__')).toBe('REQUESTER_GONE')
    expect(outcomeOf(router, '')).toBe('REQUESTER_GONE')
    expect(nameless.got).toEqual([])
  })

  test('to a connection without room is refused with OVERLOADED, and not given to an older one', () => {
    const router = new ReplyRouter(defaultLimits)
    const [older, newer] = [targetOf(), targetOf()]
    router.join(older)
    router.join(newer)
    newer.hasRoom = false
    expect(() => router.send({ replyTo: 'asker', correlationId: 'q-1', message: messagesOf(1) })).toThrow(
      expect.objectContaining({ code: 'OVERLOADED', retryAfterMs: 1_000 }),
    )
    newer.hasRoom = true
    expect(outcomeOf(router)).toBe('sent')
    expect([older.got, newer.got]).toEqual([[], ['q-1']])
  })

  test('is not heard by another principal that shows the same client id', () => {
    const router = new ReplyRouter(defaultLimits)
    const [asker, eavesdropper] = [targetOf('asker', 'shop'), targetOf('asker', 'stranger')]
    router.join(asker)
    router.join(eavesdropper)
    expect(outcomeOf(router)).toBe('sent')
    const again = targetOf('asker', 'shop')
    router.join(again)
    expect(outcomeOf(router)).toBe('sent')
    expect([asker.got, eavesdropper.got, again.got]).toEqual([['q-1'], [], ['q-1']])
    router.leave(asker)
    router.leave(again)
    expect(outcomeOf(router)).toBe('sent')
    expect(eavesdropper.got).toEqual(['q-1'])
  })

  test.each([
    ['nothing', new Uint8Array(0), 'BAD_FRAME'],
    ['no message', Uint8Array.of(9, 9, 9), 'BAD_FRAME'],
    ['two messages', messagesOf(2), 'BAD_FRAME'],
    ['a message and a byte more', concatBytes([messagesOf(1), new Uint8Array(1)]), 'BAD_FRAME'],
    ['a message that is cut short', messagesOf(1).subarray(0, -1), 'BAD_FRAME'],
    ['a tag with a bar', encodeMessages([{ headers: { tag: 'a|b', bornMs: 1 }, body: new Uint8Array(0) }]), 'BAD_NAME'],
  ])('that is %s is refused, also to nobody', (_what, message, code) => {
    const router = new ReplyRouter(defaultLimits)
    expect(outcomeOf(router, 'asker', message)).toBe(code)
    const asker = targetOf()
    router.join(asker)
    expect(outcomeOf(router, 'asker', message)).toBe(code)
    expect(asker.got).toEqual([])
    expect(outcomeOf(router)).toBe('sent')
  })

  test('has a body of the largest size, and not one byte more, nor much more', () => {
    const router = new ReplyRouter({ bodyBytesMax: 1_000 })
    router.join(targetOf())
    const bodyOf = (size: number): Uint8Array => messagesOf(1, new Uint8Array(size))
    expect(outcomeOf(router, 'asker', bodyOf(1_000))).toBe('sent')
    expect(outcomeOf(router, 'asker', bodyOf(1_001))).toBe('MESSAGE_TOO_LARGE')
    expect(outcomeOf(router, 'asker', bodyOf(100_000))).toBe('MESSAGE_TOO_LARGE')
  })
})

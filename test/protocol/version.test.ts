// Pins the version of the protocol together with everything that it stands for.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { closeCodes } from '../../core/model/close-codes.ts'
import { errorCodes } from '../../core/error-codes.ts'
import { protocolVersion, subprotocol } from '../../core/protocol/frames.ts'
import { frameSpecs } from '../support/frames.ts'

/**
 * The wire of every version there was: frames with number, direction, fields and bounds. A released line is never
 * changed, as clients of that version are out there.
 */
const pinnedWires: Readonly<Record<number, string>> = {
  1: 'fa4d862f1c03d9401073f330848eb204',
}

function digest(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 32)
}

const wireLines = frameSpecs
  .map(({ direction, type, name, formText }) => `${direction} ${type} ${name} ${formText}`)
  .sort()

test('the wire is that of its version', () => {
  const { max } = protocolVersion
  expect(
    digest([subprotocol, ...wireLines]),
    `The frames are not those of version ${max} any more. If ${max} was released: raise protocolVersion.max in ` +
      'core/protocol/frames.ts, pin the new digest under the new version here, keep the old one, add golden bytes ' +
      'and a line to the version history of PROTOCOL.md, and speak the old form with clients of the old version. If ' +
      'not: pin the new digest, and mend the golden bytes and PROTOCOL.md.',
  ).toBe(pinnedWires[max])
})

test('every version that is spoken is pinned', () => {
  const { min, max } = protocolVersion
  expect(min).toBeGreaterThanOrEqual(1)
  expect(max).toBeGreaterThanOrEqual(min)
  expect(Object.keys(pinnedWires).map(Number)).toEqual(Array.from({ length: max }, (_, index) => index + 1))
})

/** Numbers of the releases. New ones are added; one that is here means for ever what it means. */
const releasedErrors = {
  BAD_FRAME: 100, UNSUPPORTED_VERSION: 101, HELLO_EXPECTED: 102, UNAUTHENTICATED: 103, FORBIDDEN: 104,
  LIMIT_EXCEEDED: 105, OVERLOADED: 106, BAD_ARGUMENT: 200, BAD_NAME: 201, BAD_FILTER: 202, TOPIC_NOT_FOUND: 203,
  TOPIC_EXISTS: 204, GROUP_NOT_FOUND: 205, QUEUE_NOT_FOUND: 206, MESSAGE_NOT_FOUND: 207, MESSAGE_TOO_LARGE: 300,
  MESSAGE_TYPE_MISMATCH: 301,
  PRODUCER_FENCED: 302, SEQUENCE_GAP: 303, PRODUCER_UNKNOWN: 304, RECALL_TOO_LATE: 305,
  TRANSACTION_NOT_FOUND: 306, TRANSACTION_FINISHED: 307, REQUESTER_GONE: 308, RECEIPT_STALE: 400, OFFSET_OUT_OF_RANGE: 401,
  SUBSCRIPTION_CONFLICT: 402, SUBSCRIPTION_NOT_FOUND: 403, STORE_FULL: 500, STORE_FAILED: 501, RECORD_DAMAGED: 502,
  RELAY_STOPPING: 503, INTERNAL: 504, CONNECTION_LOST: 900, CONNECTION_REFUSED: 901, CLOSED: 902, ABORTED: 903,
  TIMEOUT: 904, HANDLER_FAILED: 905,
}
const releasedCloseCodes = {
  NORMAL: 1000, RELAY_STOPPING: 4000, SLOW_READER: 4001, HEARTBEAT_LOST: 4002, OVERLOADED: 4003, STORE_FAILED: 4004,
  REPLACED: 4005, INTERNAL: 4006, BAD_FRAME: 4500, UNSUPPORTED_VERSION: 4501, HELLO_EXPECTED: 4502,
  UNAUTHENTICATED: 4503,
  FORBIDDEN: 4504, LIMIT_EXCEEDED: 4505,
}

test('numbers of errors and close codes mean what they meant in every release', () => {
  const numbers = Object.fromEntries(Object.entries(errorCodes).map(([code, { number }]) => [code, number]))
  expect(numbers).toMatchObject(releasedErrors)
  expect(closeCodes).toMatchObject(releasedCloseCodes)
})

test('frame numbers are distinct, and their range says the direction', () => {
  expect(new Set(frameSpecs.map(({ type }) => type)).size).toBe(frameSpecs.length)
  expect(new Set(frameSpecs.map(({ name }) => name)).size).toBe(frameSpecs.length)
  for (const { type, direction } of frameSpecs) {
    expect(direction === 'upstream' ? type >= 1 && type <= 63 : type >= 64 && type <= 127).toBe(true)
  }
})

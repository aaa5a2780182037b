// Hostile frames: golden bytes that were bent, cut, joined and filled with the numbers that break decoders, and plain
// noise. Nothing but BAD_FRAME may come of it, and whatever is decoded holds no more than its bytes.
//
//   FUZZ_FRAMES=100000000 npx vitest run test/protocol/fuzz.test.ts      a long run
//   FUZZ_SEED=123 npx vitest run test/protocol/fuzz.test.ts              the same run again

import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import { defaultLimits } from '../../core/limits.ts'
import type { DownstreamFrame, FrameName, UpstreamFrame } from '../../core/protocol/frames.ts'
import { MessageScanner } from '../../core/record/message-codec.ts'
import { RecordBatch } from '../../core/record/record-batch.ts'
import { createSimRandom } from '../sim/sim-random.ts'
import { type AnyFields, decodeAny, type Direction, encodeAny, frameSpecs } from '../support/frames.ts'
import { fromHex, goldenFrames, toHex } from './golden.ts'

const frameCount = Number(process.env.FUZZ_FRAMES ?? 200_000)
const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31))

const goldens = { upstream: goldensOf('upstream'), downstream: goldensOf('downstream') }

function goldensOf(direction: Direction): Uint8Array[] {
  return frameSpecs.filter((spec) => spec.direction === direction).map(({ name }) => fromHex(goldenFrames[name].hex))
}

/** Bytes that mean something: ends of varints, signs, long counts, flags, cut UTF-8. */
const spitefulBytes = [0, 1, 2, 0x0f, 0x10, 0x7f, 0x80, 0x81, 0xc0, 0xe2, 0xed, 0xf4, 0xfe, 0xff]
const spitefulSizes = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

const random = createSimRandom(seed)
const below = (count: number): number => Math.floor(random.next() * count)
const oneOf = <T>(choices: readonly T[]): T => choices[below(choices.length)] as T

function setSize(message: Uint8Array, size: number): void {
  for (let byte = 0; byte < 4; byte++) message[1 + byte] = size >>> (8 * byte)
}

/** One change to a message, somewhere. */
function bend(message: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = below(message.length)
  switch (below(10)) {
    case 0:
      message[at] = (message[at] as number) ^ (1 << below(8))
      return message
    case 1:
    case 2:
    case 3:
      message[at] = oneOf(spitefulBytes)
      return message
    case 4:
      message[at] = below(256)
      return message
    case 5:
      message.fill(0xff, at, at + below(9))
      return message
    case 6:
      setSize(message, oneOf(spitefulSizes))
      return message
    case 7:
      return message.slice(0, at)
    case 8: {
      // A hole, with the size mended so that the fields are reached.
      const end = Math.min(message.length, at + 1 + below(4))
      const shorter = Uint8Array.from([...message.subarray(0, at), ...message.subarray(end)])
      if (shorter.length > 5) setSize(shorter, shorter.length - 5)
      return shorter
    }
    default: {
      const noise = random.bytes(1 + below(8))
      const longer = Uint8Array.from([...message.subarray(0, at), ...noise, ...message.subarray(at)])
      setSize(longer, longer.length - 5)
      return longer
    }
  }
}

function nextMessage(direction: Direction): Uint8Array {
  if (below(20) === 0) return random.bytes(below(60))
  let message = oneOf(goldens[direction]).slice()
  if (below(10) === 0) message = Uint8Array.from([...message, ...oneOf(goldens[direction])])
  for (let count = below(4); count > 0 && message.length > 0; count--) message = bend(message)
  return message
}

/** Words of the forms: a decoded one costs nothing, as there is one of each. */
const words = new Set(frameSpecs.flatMap(({ formText }) => formText.match(/[A-Za-z][A-Za-z0-9-]*/g) ?? []))

/** Characters, bytes and list items that a decoded value holds, all told. */
function weightOf(value: unknown): number {
  if (typeof value === 'string') return words.has(value) ? 0 : value.length
  if (typeof value !== 'object' || value === null) return 0
  if (value instanceof Uint8Array) return value.length
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + 1 + weightOf(item), 0)
  return Object.values(value).reduce<number>((sum, item) => sum + weightOf(item), 0)
}

const scanner = new MessageScanner(defaultLimits)

function scan(messages: Uint8Array): void {
  scanner.reset(messages, 0, messages.length)
  while (!scanner.atEnd) scanner.next()
}

function readRecord(bytes: Uint8Array): void {
  const record = RecordBatch.view(bytes)
  for (let index = 0; index < record.messageCount; index++) record.messageAt(index, 'orders', 0)
}

function expectSayable(direction: Direction, name: FrameName, fields: AnyFields): void {
  const said = encodeAny(name, fields)
  const { name: _, ...again } = decodeAny(direction, said)[0] as AnyFields
  if (toHex(encodeAny(name, again)) !== toHex(said)) throw new Error(`${name} is not the same again: ${toHex(said)}`)
}

const innerCodes = new Set(['BAD_FRAME', 'BAD_NAME', 'BAD_ARGUMENT', 'MESSAGE_TOO_LARGE', 'RECORD_DAMAGED'])

/** What a peer does next with the bytes in a frame: it may be refused, with a code. */
function useInner(use: () => void): void {
  try {
    use()
  } catch (error) {
    if (!(error instanceof PocketError) || !innerCodes.has(error.code)) throw error
  }
}

function useInsideOf(frame: DownstreamFrame | UpstreamFrame): void {
  switch (frame.name) {
    case 'PUBLISH':
    case 'PREPARE':
      return useInner(() => scan(frame.messages))
    case 'REPLY':
    case 'REPLIED':
      return useInner(() => scan(frame.message))
    case 'DELIVER':
      return useInner(() => readRecord(frame.record))
    case 'DELAYED':
    case 'CHECK_TRANSACTION':
      for (const { record } of frame.messages) useInner(() => readRecord(record))
      return
    case 'CHANGES':
      for (const { kind, value } of frame.changes) if (kind === 'record') useInner(() => readRecord(value))
  }
}

// Most of the time would go into stacks that nobody reads.
const { stackTraceLimit } = Error
beforeAll(() => void (Error.stackTraceLimit = 0))
afterAll(() => void (Error.stackTraceLimit = stackTraceLimit))

const timeout = 20_000 + frameCount / 5

test(`${frameCount} hostile messages are decoded or refused, and nothing else happens`, { timeout }, () => {
  console.info(`fuzz: FUZZ_SEED=${seed} FUZZ_FRAMES=${frameCount}`)
  let decodedCount = 0
  let refusedCount = 0
  for (let run = 0; run < frameCount; run++) {
    const direction = run & 1 ? 'upstream' : 'downstream'
    const message = nextMessage(direction)
    let frames: ReturnType<typeof decodeAny>
    try {
      frames = decodeAny(direction, message)
    } catch (error) {
      const isRefusal = error instanceof PocketError && error.code === 'BAD_FRAME'
      if (!isRefusal) throw new Error(`message ${run}: ${toHex(message)}`, { cause: error })
      refusedCount++
      continue
    }
    decodedCount++
    for (const frame of frames) {
      const { name, ...fields } = frame
      if (weightOf(fields) > message.length) throw new Error(`${name} holds more than ${toHex(message)}`)
      useInsideOf(frame as unknown as DownstreamFrame | UpstreamFrame)
      // What was decoded can be said again, and means the same.
      if (run % 8 === 0) expectSayable(direction, name, fields)
    }
  }
  // Both ends were reached, or the bending is not what it should be.
  expect(decodedCount).toBeGreaterThan(frameCount / 20)
  expect(refusedCount).toBeGreaterThan(frameCount / 5)
})

test('a list is refused by its count, however long it says it is, before anything is made of it', () => {
  const lists: [FrameName, string][] = [
    // Each ends in a count of 2^52, or of the bound, with nothing behind it.
    ['ACK', '01 01'],
    ['PUBLISHED', '01 00 00 01'],
    ['DONE', '01'],
    ['TOPICS', '01'],
    ['GROUPS', '01'],
    ['MESSAGES', '01'],
    ['PULLED', '01 00000000 00 00000000 00 00 00'],
    ['SUBSCRIBED', '01 01 00 01'],
    ['PUBLISHED', '01 00 00 01 00'],
    ['RESEND_DEAD_LETTERS', '01 01 67'],
    ['PURGE_DEAD_LETTERS', '01 01 67'],
    ['FOLLOW', '01 01'],
    ['FOLLOW', '01 01 00'],
    ['POSITIONS', '01'],
    ['CONFIGURE_GROUP', '01 01 67 00 01 00'],
    ['DELAYED', '01'],
    ['TRANSACTION_ENDED', '01 00 00'],
    ['TRANSACTION_ENDED', '01 00 00 00'],
    ['CHECK_TRANSACTION', '0000000000000000 01 67 01 01'],
    ['TRANSACTIONS', '01'],
    ['TRANSACTIONS', '01 01 0000000000000000 00 00 00 00 00'],
    ['TRACE', '01'],
    ['TRACE', '01 01 00 00 00 00 00 00'],
    ['CHANGES', '01 01 01 00'],
  ]
  for (const [name, head] of lists) {
    const { direction, type } = frameSpecs.find((spec) => spec.name === name) as (typeof frameSpecs)[number]
    for (const count of ['8080808080808008', 'ff7f', '8040', 'e807', '8002']) {
      const fields = fromHex(head + count)
      const message = Uint8Array.from([type, fields.length, 0, 0, 0, ...fields])
      expect(() => decodeAny(direction, message)).toThrow(expect.objectContaining({ code: 'BAD_FRAME' }))
    }
  }
})

// Frames to bytes and back: every frame, several to a message, payloads by reference, and what is refused on either
// side.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AssertionError } from '../../core/assert.ts'
import { ByteReader, ByteWriter, concatBytes } from '../../core/bytes.ts'
import { PocketError } from '../../core/errors.ts'
import { defaultLimits, fixedLimits } from '../../core/limits.ts'
import { decodeDownstream, decodeUpstream, encodeFrame, FrameOutbox } from '../../core/protocol/codec.ts'
import type { FrameFields, FrameName } from '../../core/protocol/frames.ts'
import { hotReaders, hotWriters } from '../../core/protocol/hot-frames.ts'
import { type AnyFields, decodeAny, encodeAny, frameSpecs } from '../support/frames.ts'

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof PocketError ? error.code : `not coded: ${String(error)}`
  }
  return 'none'
}

const byName = frameSpecs.map((spec) => [spec.name, spec] as const)

describe.each(byName)('%s', (name, spec) => {
  test('comes back as it was sent', () => {
    fc.assert(fc.property(spec.someFields, (fields) => {
      const bytes = encodeAny(name, fields)
      expect(decodeAny(spec.direction, bytes)).toEqual([{ ...fields, name }])
      expect(encodeFrame(name, fields as FrameFields<FrameName>)).toEqual(bytes)
    }), { numRuns: 50 })
  })

  test('is refused with a byte more, with any byte less, and in the other direction', () => {
    fc.assert(fc.property(spec.someFields, (fields) => {
      const bytes = encodeAny(name, fields)
      const other = spec.direction === 'upstream' ? 'downstream' : 'upstream'
      expect(codeOf(() => decodeAny(other, bytes))).toBe('BAD_FRAME')
      for (const length of new Set([1, 4, bytes.length >>> 1, bytes.length - 1])) {
        expect(codeOf(() => decodeAny(spec.direction, bytes.subarray(0, length)))).toBe('BAD_FRAME')
      }
      const longer = Uint8Array.from([...bytes, 0])
      new DataView(longer.buffer).setUint32(1, longer.length - 5, true)
      const endsInRest = spec.formText.endsWith(': rest }')
      expect(codeOf(() => decodeAny(spec.direction, longer))).toBe(endsInRest ? 'none' : 'BAD_FRAME')
    }), { numRuns: 20 })
  })
})

const twins = byName.filter(([name]) => hotReaders[name] !== undefined || hotWriters[name] !== undefined)

describe('hand-written twins', () => {
  test('are there for what runs per message', () => {
    expect(twins.map(([name]) => name)).toEqual(['PUBLISH', 'CREDIT', 'ACK', 'PUBLISHED', 'DELIVER', 'DONE'])
  })

  test.each(twins)('write %s as its table entry does', (name, spec) => {
    fc.assert(fc.property(spec.someFields, (fields) => {
      const [declared, twin] = [new ByteWriter(), new ByteWriter()]
      spec.declared.write(declared, fields)
      ;(hotWriters[name] as (writer: ByteWriter, fields: AnyFields) => void)(twin, fields)
      expect(twin.finish()).toEqual(declared.finish())
    }), { numRuns: 300 })
  })

  test.each(twins)('read %s as its table entry does, also where bytes are wrong', (name, spec) => {
    const read = hotReaders[name] as (reader: ByteReader) => object
    const outcomeOf = (decode: (reader: ByteReader) => object, bytes: Uint8Array): unknown => {
      const reader = new ByteReader(bytes)
      try {
        return { ...decode(reader), remaining: reader.remaining }
      } catch (error) {
        return (error as PocketError).code
      }
    }
    let refusedCount = 0
    const change = fc.tuple(fc.nat(), fc.nat(255))
    fc.assert(fc.property(spec.someFields, fc.array(change, { maxLength: 3 }), fc.nat(40), (fields, changes, cut) => {
      const writer = new ByteWriter()
      spec.declared.write(writer, fields)
      const bytes = writer.finish()
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte
      const hostile = bytes.subarray(0, Math.max(1, bytes.length - (cut < 30 ? 0 : cut - 29)))
      const declared = outcomeOf((reader) => ({ name, ...spec.declared.read(reader) }), hostile)
      expect(outcomeOf(read, hostile)).toEqual(declared)
      if (typeof declared === 'string') refusedCount++
    }), { numRuns: 1_000 })
    expect(refusedCount).toBeGreaterThan(20)
  })

  test('refuse to read a list that is over its bound, though its bytes are there', () => {
    const { batchMessageCountMax, rangesPerFrameMax } = fixedLimits
    const lists: [FrameName, readonly number[], number, number][] = [
      // Name, fields before the list, its bound, the bytes of an item.
      ['ACK', [1, 1], rangesPerFrameMax, 4],
      ['DONE', [1], rangesPerFrameMax, 3],
      ['PUBLISHED', [1, 0, 0, 1], batchMessageCountMax, 7],
      ['PUBLISHED', [1, 0, 0, 1, 0], batchMessageCountMax, 1],
    ]
    for (const [name, head, countMax, itemBytes] of lists) {
      const { declared } = frameSpecs.find((spec) => spec.name === name) as (typeof frameSpecs)[number]
      const bytesOf = (count: number): Uint8Array => {
        const writer = new ByteWriter()
        writer.raw(Uint8Array.from(head))
        writer.varint(count)
        // One more, for the empty list that follows the segments.
        writer.raw(new Uint8Array(count * itemBytes + 1))
        return writer.finish()
      }
      for (const read of [declared.read, hotReaders[name] as (reader: ByteReader) => object]) {
        expect(codeOf(() => read(new ByteReader(bytesOf(countMax))))).toBe('none')
        expect(codeOf(() => read(new ByteReader(bytesOf(countMax + 1))))).toBe('BAD_FRAME')
      }
    }
  })

  test.each(twins)('refuse to write in %s what its table entry refuses', (name, spec) => {
    const wrong = [-1, 0.5, Number.NaN, 2 ** 53, 2 ** 32, 'x'.repeat(2_000), new Uint8Array(9)]
    let refusedCount = 0
    const someField = fc.constantFrom(...spec.form.fields)
    fc.assert(fc.property(spec.someFields, someField, fc.constantFrom(...wrong), (fields, field, value) => {
      if (typeof fields[field.name] !== typeof value) return
      const changed = { ...fields, [field.name]: value }
      const declared = codeOf(() => spec.declared.write(new ByteWriter(), changed))
      expect(codeOf(() => encodeAny(name, changed))).toBe(declared)
      if (declared === 'BAD_ARGUMENT') refusedCount++
    }), { numRuns: 300 })
    expect(refusedCount).toBeGreaterThan(20)
  })
})

describe('a message of several frames', () => {
  test('is decoded frame by frame, in order', () => {
    const upstreamSpecs = frameSpecs.filter(({ direction }) => direction === 'upstream')
    const frames = fc.array(
      fc.nat(upstreamSpecs.length - 1).chain((index) => {
        const { name, someFields } = upstreamSpecs[index] as (typeof upstreamSpecs)[number]
        return someFields.map((fields) => ({ name, fields }))
      }),
      { minLength: 1, maxLength: 8 },
    )
    fc.assert(fc.property(frames, (sent) => {
      const outbox = new FrameOutbox()
      for (const { name, fields } of sent) outbox.add(name, fields as FrameFields<FrameName>)
      const { byteCount } = outbox
      const message = concatBytes(outbox.take())
      expect(message.length).toBe(byteCount)
      expect(outbox.isEmpty).toBe(true)
      expect(decodeAny('upstream', message)).toEqual(sent.map(({ name, fields }) => ({ ...fields, name })))
    }))
  })

  test('is decoded up to the first bad frame', () => {
    const bad = Uint8Array.of(2, 3, 0, 0, 0, 1, 1, 1)
    const message = concatBytes([encodeAny('PING', { nonce: 1 }), encodeAny('PING', { nonce: 2 }), bad])
    const nonces: unknown[] = []
    const note = (frame: object) => nonces.push('nonce' in frame && frame.nonce)
    expect(codeOf(() => decodeUpstream(message, note))).toBe('BAD_FRAME')
    expect(nonces).toEqual([1, 2])
  })

  test('is refused when it is empty, or when a frame reaches beyond its end', () => {
    expect(codeOf(() => decodeUpstream(new Uint8Array(0), () => {}))).toBe('BAD_FRAME')
    for (const size of [5, 0xffff, 0xffff_ffff]) {
      const message = encodeAny('PING', { nonce: 1 })
      new DataView(message.buffer, message.byteOffset).setUint32(1, size, true)
      expect(codeOf(() => decodeUpstream(message, () => {}))).toBe('BAD_FRAME')
    }
  })

  test('does not let a frame read into the next one', () => {
    const message = concatBytes([encodeAny('PING', { nonce: 1 }), encodeAny('PING', { nonce: 2 })])
    message[1] = 3
    expect(codeOf(() => decodeUpstream(message, () => {}))).toBe('BAD_FRAME')
  })

  test('does not find a frame that hides behind the fields of another', () => {
    const message = concatBytes([encodeAny('PING', { nonce: 1 }), encodeAny('PING', { nonce: 2 })])
    message[1] = message.length - 5
    const frames: unknown[] = []
    expect(codeOf(() => decodeUpstream(message, (frame) => frames.push(frame)))).toBe('BAD_FRAME')
    expect(frames).toEqual([])
  })

  test('is refused with a frame type that nobody knows', () => {
    const known = new Set(frameSpecs.map(({ type }) => type))
    for (let type = 0; type < 256; type++) {
      if (known.has(type)) continue
      for (const direction of ['upstream', 'downstream'] as const) {
        expect(codeOf(() => decodeAny(direction, Uint8Array.of(type, 0, 0, 0, 0)))).toBe('BAD_FRAME')
      }
    }
  })
})

describe('byte fields', () => {
  const fields = {
    subscriptionId: 1,
    queueId: 2,
    leaseId: 3,
    attempt: 1,
    leaseMs: 5,
    next: { epoch: 1, offset: 9 },
    record: new Uint8Array(0),
  }

  test.each([0, 1, 1_023, 1_024, 100_000])('a payload of %d bytes stands where the last field would', (size) => {
    const payload = new Uint8Array(size).fill(7)
    const outbox = new FrameOutbox()
    outbox.add('PONG', { nonce: 1 })
    outbox.add('DELIVER', fields, payload)
    outbox.add('PONG', { nonce: 2 })
    const { byteCount } = outbox
    const chunks = outbox.take()
    expect(concatBytes(chunks)).toHaveLength(byteCount)
    expect(decodeAny('downstream', concatBytes(chunks))).toEqual([
      { name: 'PONG', nonce: 1 }, { ...fields, name: 'DELIVER', record: payload }, { name: 'PONG', nonce: 2 },
    ])
    expect(chunks.includes(payload)).toBe(size >= 1_024)
    expect(decodeAny('downstream', encodeAny('DELIVER', { ...fields, record: payload }))).toEqual([
      { ...fields, name: 'DELIVER', record: payload },
    ])
  })

  test('are views of the message, not copies, and slice to copies whatever brought them', () => {
    const message = Buffer.from(encodeAny('DELIVER', { ...fields, record: Uint8Array.of(1, 2, 3) }))
    decodeDownstream(message, (frame) => {
      const { record } = frame as FrameFields<'DELIVER'>
      expect(record.buffer).toBe(message.buffer)
      const copy = record.slice()
      message.fill(0)
      expect([...record]).toEqual([0, 0, 0])
      expect([...copy]).toEqual([1, 2, 3])
    })
  })

  test('are only taken as a payload by frames that end in them', () => {
    expect(() => encodeAny('PING', { nonce: 1 }, new Uint8Array(4))).toThrow(AssertionError)
  })
})

/** One more than `countMax`. */
function manyOf<T>(value: T, countMax: number): T[] {
  return Array.from({ length: countMax + 1 }, () => value)
}

describe('a list at its bound', () => {
  const { batchMessageCountMax } = fixedLimits
  const position = { epoch: 1, offset: 5 }
  const someOf = <T>(value: T, count: number): T[] => manyOf(value, count - 1)
  const full: [FrameName, AnyFields][] = [
    ['PUBLISHED', {
      requestId: 1, duplicate: false, isRelaxed: true, storedMs: 0,
      segments: someOf({ queueId: 0, epoch: 0, offset: 0, count: 1 }, batchMessageCountMax),
      scheduled: someOf(5, batchMessageCountMax),
    }],
    ['FOLLOW', {
      requestId: 1, subscriptionId: 1, withProgress: true,
      topics: someOf('t'.repeat(255), fixedLimits.followTopicCountMax),
      positions: someOf({ topic: 't'.repeat(255), queueId: 1_023, position }, fixedLimits.progressCountMax),
    }],
    ['RESEND_DEAD_LETTERS', { requestId: 1, group: 'g', messageIds: someOf('i'.repeat(64), fixedLimits.deadLetterCountMax) }],
    ['POSITIONS', { subscriptionId: 1, positions: someOf({ queueId: 1, position }, fixedLimits.queueCountMax) }],
    ['CHANGES', {
      subscriptionId: 1, sequence: 1, isCurrent: true, lag: 0,
      changes: someOf(
        { kind: 'record', topic: 't', queueId: 0, offset: 0, group: '', value: new Uint8Array(3) },
        fixedLimits.changesPerFrameMax,
      ),
    }],
  ]

  test.each(full)('is written and read in %s', (name, fields) => {
    const { direction } = frameSpecs.find((spec) => spec.name === name) as (typeof frameSpecs)[number]
    const bytes = encodeAny(name, fields)
    expect(bytes.length).toBeLessThan(defaultLimits.frameBytesMax)
    expect(decodeAny(direction, bytes)).toEqual([{ ...fields, name }])
  })
})

describe('an outbox', () => {
  test('keeps what it has when a frame is refused', () => {
    const outbox = new FrameOutbox()
    outbox.add('PING', { nonce: 7 })
    const tooManyRanges = manyOf({ queueId: 0, leaseId: 1, offset: 0, count: 1 }, fixedLimits.rangesPerFrameMax)
    const { batchMessageCountMax, changesPerFrameMax, deadLetterCountMax } = fixedLimits
    const tooManySegments = manyOf({ queueId: 0, epoch: 1, offset: 0, count: 1 }, batchMessageCountMax)
    const tooManyTimes = manyOf(1, batchMessageCountMax)
    const tooManyIds = manyOf('a', deadLetterCountMax)
    const change = { kind: 'topic', topic: 't', queueId: 0, offset: 0, group: '', value: new Uint8Array(0) }
    const tooManyChanges = manyOf(change, changesPerFrameMax)
    const refused: [FrameName, AnyFields][] = [
      ['DESCRIBE_TOPIC', { requestId: 1, topic: 'x'.repeat(fixedLimits.systemTopicNameLengthMax + 1) }],
      ['SUBSCRIBE', {
        requestId: 1, subscriptionId: 1, memberId: new Uint8Array(7), group: 'g', topic: 't', mode: 'CLUSTERING',
        filter: '*', start: { kind: 'earliest' }, leaseMs: 0, positions: [],
      }],
      ['RETRY', { requestId: 1, subscriptionId: 1, ranges: [], how: 'never', delayMs: 0 }],
      ['CREDIT', { subscriptionId: 1, messageCount: -1, byteCount: 1 }],
      ['ACK', { requestId: 1, subscriptionId: 1, ranges: tooManyRanges }],
      ['EXTEND', { requestId: 1, subscriptionId: 1, ranges: tooManyRanges, leaseMs: 1 }],
      ['PUBLISHED', { requestId: 1, duplicate: false, isRelaxed: true, storedMs: 0, segments: tooManySegments, scheduled: [] }],
      ['PUBLISHED', { requestId: 1, duplicate: false, isRelaxed: true, storedMs: 0, segments: [], scheduled: tooManyTimes }],
      ['RECALL', { requestId: 1, topic: 't', recallHandle: 'x'.repeat(fixedLimits.recallHandleBytesMax + 1) }],
      ['PREPARE', {
        requestId: 1, transactionId: new Uint8Array(9), producerGroup: 'g', checkAfterMs: 0, topic: 't', baseSequence: 0,
        messageCount: 1, messages: new Uint8Array(0),
      }],
      ['REPLY', { requestId: 1, replyTo: 'c', correlationId: 'x'.repeat(65), message: new Uint8Array(0) }],
      ['RESEND_DEAD_LETTERS', { requestId: 1, group: 'g', messageIds: tooManyIds }],
      ['PURGE_DEAD_LETTERS', { requestId: 1, group: 'g', messageIds: ['x'.repeat(65)] }],
      ['FOLLOW', { requestId: 1, subscriptionId: 1, topics: tooManyIds, positions: [], withProgress: false }],
      ['CHANGES', { subscriptionId: 1, sequence: 1, isCurrent: true, lag: 0, changes: tooManyChanges }],
    ]
    for (const [name, fields] of refused) {
      expect(codeOf(() => outbox.add(name, fields as FrameFields<FrameName>))).toBe('BAD_ARGUMENT')
    }
    outbox.add('PING', { nonce: 8 })
    expect(decodeAny('upstream', concatBytes(outbox.take()))).toEqual([
      { name: 'PING', nonce: 7 }, { name: 'PING', nonce: 8 },
    ])
  })

  test('cuts a text for people to its bound, between characters', () => {
    const message = '€'.repeat(1_000)
    const [frame] = decodeAny('downstream', encodeAny('ERROR', { requestId: 1, code: 200, retryAfterMs: 0, message }))
    expect(frame?.message).toBe('€'.repeat(Math.floor(fixedLimits.textBytesMax / 3)))
  })

  test('gives what it was given once, and no later frame changes what it gave', () => {
    const outbox = new FrameOutbox()
    const taken: (readonly Uint8Array[])[] = []
    for (let nonce = 0; nonce < 500; nonce++) {
      for (let count = 0; count <= nonce % 7; count++) outbox.add('PING', { nonce })
      taken.push(outbox.take())
    }
    expect(outbox.take()).toEqual([])
    taken.forEach((chunks, nonce) => {
      const frames = decodeAny('upstream', concatBytes(chunks))
      expect(frames).toEqual(Array.from({ length: (nonce % 7) + 1 }, () => ({ name: 'PING', nonce })))
    })
  })
})

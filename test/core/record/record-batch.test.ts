// Record batches: what goes in comes out, a selection keeps what it keeps, damage is found, and no bytes whatsoever
// make a view leave its range.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AssertionError } from '../../../core/assert.ts'
import { setU32, setU53 } from '../../../core/bytes.ts'
import { crc32c } from '../../../core/crc32c.ts'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { MessageView } from '../../../core/record/message-view.ts'
import { encodeRecordBatch, RecordBatch, selectFromRecord } from '../../../core/record/record-batch.ts'
import {
  encodeMessages, type ExpectedMessage, type SampleBatch, type SampleRecord, sliceOf, someRecord,
} from '../../support/messages.ts'

/** Holds a record against what it should say at each index; `offsets` are those of the messages. */
function expectMessages(
  batch: RecordBatch, expected: readonly ExpectedMessage[], offsets: readonly number[], isFifo: boolean,
): void {
  expect(batch.messageCount).toBe(expected.length)
  expect(batch.baseOffset).toBe(offsets[0])
  expect(batch.lastOffset).toBe(offsets.at(-1))
  expect(batch.hasGroupHashes).toBe(isFifo)
  expected.forEach((message, index) => {
    expect(batch.offsetAt(index)).toBe(offsets[index])
    expect(batch.indexFrom(offsets[index] as number)).toBe(index)
    expect(batch.tagHashAt(index)).toBe(message.tagHash)
    expect(batch.groupHashAt(index)).toBe(message.groupHash)
    expect(batch.ttlAt(index)).toBe(message.ttlMs)
    expect(batch.indexOf(offsets[index] as number)).toBe(index)
    expect(batch.messageAt(index, 'orders', 3)).toEqual({
      ...message.headers,
      messageId: message.messageId,
      topic: 'orders',
      queueId: 3,
      offset: offsets[index],
      storedMs: batch.storedMs,
      body: message.body,
    })
  })
}

function offsetsOf({ head, expected }: SampleRecord): number[] {
  return expected.map((_, index) => head.baseOffset + index)
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof PocketError ? error.code : `not coded: ${String(error)}`
  }
  return 'none'
}

/** The checksum made to fit again, as whoever means harm would. */
function sealed(bytes: Uint8Array): Uint8Array {
  setU32(bytes, 0, crc32c(bytes, 4))
  return bytes
}

function taggedMessage(tag: string, seed: number) {
  return { headers: { bornMs: 5, tag, messageGroup: tag }, body: new Uint8Array(20).fill(seed) }
}

function sampleSlice(seed: number, tags: readonly string[]): SampleBatch {
  return {
    producerId: new Uint8Array(8).fill(seed),
    producerEpoch: seed,
    baseSequence: seed * 100,
    messages: tags.map((tag) => taggedMessage(tag, seed)),
    indexes: tags.map((_, index) => index),
  }
}

const sample = (() => {
  const head = { epoch: 7, baseOffset: 1_000, storedMs: 1_795_000_000_000 }
  const slices = [sampleSlice(1, ['a', 'b', 'c']), sampleSlice(2, ['d']), sampleSlice(3, ['e', 'f'])]
  return (isFifo: boolean) => encodeRecordBatch(head, slices.map((slice) => sliceOf(slice, isFifo)))
})()

describe('a record batch', () => {
  test('says of each message what went in', () => {
    fc.assert(fc.property(someRecord, (record) => {
      const { head, isFifo, batch, expected } = record
      const hasTtl = expected.some(({ ttlMs }) => ttlMs > 0)
      expect(batch).toMatchObject({ epoch: head.epoch, storedMs: head.storedMs, isWhole: true, hasTtl })
      expectMessages(batch, expected, offsetsOf(record), isFifo)
    }))
  })

  test('knows the slice of each message', () => {
    fc.assert(fc.property(someRecord, ({ batch, expected }) => {
      const firstIndexes: number[] = []
      expected.forEach(({ slice, messageId }, index) => {
        firstIndexes[slice] ??= index
        const found = batch.sliceOf(index)
        expect(found).toEqual(batch.sliceAt(slice))
        expect(found.firstIndex).toBe(firstIndexes[slice])
        const producerId = Buffer.from(found.producerId).toString('hex')
        expect(messageId.startsWith(`${producerId}-${found.producerEpoch}-`)).toBe(true)
      })
      expect(batch.sliceCount).toBe(firstIndexes.length)
    }))
  })

  test('holds its messages as they were encoded, one after the other', () => {
    const record = RecordBatch.open(sample(false))
    const messages = encodeMessages(['a', 'b', 'c'].map((tag) => taggedMessage(tag, 1)))
    expect(Buffer.concat([0, 1, 2].map((index) => record.messageBytesAt(index)))).toEqual(Buffer.from(messages))
    for (let index = 1; index < record.messageCount; index++) {
      expect(record.messageStart(index)).toBe(record.messageEnd(index - 1))
    }
    expect(record.messageEnd(record.messageCount - 1)).toBe(record.bytes.length)
  })

  test('finds the first message at or after an offset', () => {
    const record = RecordBatch.open(sample(false))
    const offsets = [0, 999, 1_000, 1_003, 1_005, 1_006, 2 ** 53 - 1]
    expect(offsets.map((offset) => record.indexFrom(offset))).toEqual([0, 0, 0, 3, 5, 6, 6])
    const holes = RecordBatch.open(selectFromRecord(record, [1, 4, 5]))
    expect([0, 1_001, 1_002, 1_004, 1_005, 1_006].map((offset) => holes.indexFrom(offset))).toEqual([0, 0, 1, 1, 2, 3])
  })

  test('finds the message at an offset, or says that it has none', () => {
    const record = RecordBatch.open(sample(false))
    const ask = (batch: RecordBatch, offsets: readonly number[]) => offsets.map((offset) => batch.indexOf(offset))
    expect(ask(record, [0, 999, 1_000, 1_003, 1_005, 1_006, 2 ** 53 - 1])).toEqual([-1, -1, 0, 3, 5, -1, -1])
    const holes = RecordBatch.open(selectFromRecord(record, [1, 4, 5]))
    expect(ask(holes, [0, 1_000, 1_001, 1_002, 1_003, 1_004, 1_005, 1_006])).toEqual([-1, -1, 0, -1, -1, 1, 2, -1])
  })

  test('knows the time to live of each message, which need not be the one in its bytes', () => {
    const [first, second] = [sampleSlice(1, ['a', 'b', 'c']), sampleSlice(2, ['d'])]
    const head = { epoch: 7, baseOffset: 1_000, storedMs: 5_000 }
    for (const isFifo of [false, true]) {
      const slices = [{ ...sliceOf(first, isFifo), ttls: [0, 1, fixedLimits.ttlMsMax] }, sliceOf(second, isFifo)]
      const record = RecordBatch.open(encodeRecordBatch(head, slices))
      expect([record.hasTtl, record.hasGroupHashes]).toEqual([true, isFifo])
      expect([0, 1, 2, 3].map((index) => record.ttlAt(index))).toEqual([0, 1, fixedLimits.ttlMsMax, 0])
      expect(record.messageAt(1, 'orders', 0).ttlMs).toBeUndefined()
      const holes = RecordBatch.open(selectFromRecord(record, [0, 2, 3]))
      expect([0, 1, 2].map((index) => holes.ttlAt(index))).toEqual([0, fixedLimits.ttlMsMax, 0])
      expect([0, 1, 2].map((index) => holes.offsetAt(index))).toEqual([1_000, 1_002, 1_003])
    }
    const without = RecordBatch.open(encodeRecordBatch(head, [sliceOf(first, true)]))
    expect([without.hasTtl, without.ttlAt(2)]).toEqual([false, 0])
  })

  test('says when a message is over: when it has been stored for its time to live', () => {
    const slice = { ...sliceOf(sampleSlice(1, ['a', 'b']), false), ttls: [0, 10] }
    const record = RecordBatch.open(encodeRecordBatch({ epoch: 7, baseOffset: 0, storedMs: 5_000 }, [slice]))
    const times = [0, 4_999, 5_000, 5_009, 5_010, 5_011, Number.MAX_SAFE_INTEGER]
    expect(times.map((nowMs) => record.isExpiredAt(1, nowMs))).toEqual([false, false, false, false, true, true, true])
    expect(times.map((nowMs) => record.isExpiredAt(0, nowMs))).not.toContain(true)
    const longest = { ...slice, ttls: [fixedLimits.ttlMsMax, 0] }
    const late = RecordBatch.open(encodeRecordBatch({ epoch: 7, baseOffset: 0, storedMs: 0 }, [longest]))
    expect([fixedLimits.ttlMsMax - 1, fixedLimits.ttlMsMax].map((nowMs) => late.isExpiredAt(0, nowMs))).toEqual([false, true])
  })

  test('holds as many messages as its bound', () => {
    const message = { headers: { bornMs: 1 }, body: new Uint8Array(0) }
    const messages = Array.from({ length: fixedLimits.batchMessageCountMax }, () => message)
    const indexes = messages.map((_, index) => index)
    const slice = sliceOf(
      { producerId: new Uint8Array(8), producerEpoch: 0, baseSequence: 0, messages, indexes },
      false,
    )
    const head = { epoch: 1, baseOffset: 0, storedMs: 0 }
    expect(RecordBatch.open(encodeRecordBatch(head, [slice])).messageCount).toBe(fixedLimits.batchMessageCountMax)
    expect(() => encodeRecordBatch(head, [slice, slice])).toThrow(AssertionError)
    expect(() => encodeRecordBatch(head, [])).toThrow(AssertionError)
    expect(() => encodeRecordBatch(head, [{ ...slice, starts: [], ends: [], tagHashes: [] }])).toThrow(AssertionError)
  })

  test('has nothing at an index outside of it: who asks has a bug', () => {
    const record = RecordBatch.open(sample(true))
    for (const index of [-1, record.messageCount, 2 ** 32]) {
      for (const ask of [
        () => record.offsetAt(index), () => record.tagHashAt(index), () => record.groupHashAt(index),
        () => record.messageStart(index), () => record.messageBytesAt(index), () => record.sliceOf(index),
        () => record.messageAt(index, 'orders', 0), () => record.sliceAt(index),
        () => record.ttlAt(index), () => record.isExpiredAt(index, 0),
      ]) expect(ask).toThrow(AssertionError)
    }
  })
})

describe('a selection from a record', () => {
  const chosen = someRecord.chain((record) =>
    fc.subarray(record.expected.map((_, index) => index), { minLength: 1 }).map((indexes) => ({ record, indexes })))

  test('says of the messages it has what the record said, offsets and ids kept', () => {
    fc.assert(fc.property(chosen, ({ record, indexes }) => {
      const selected = RecordBatch.open(selectFromRecord(record.batch, indexes))
      const offsets = indexes.map((index) => record.head.baseOffset + index)
      expect(selected).toMatchObject({ epoch: record.head.epoch, storedMs: record.head.storedMs })
      expect(selected.isWhole).toBe((offsets.at(-1) as number) - (offsets[0] as number) === indexes.length - 1)
      const expected = indexes.map((index) => record.expected[index] as ExpectedMessage)
      expectMessages(selected, expected, offsets, record.isFifo)
    }))
  })

  test('of a selection is the same as one from the record', () => {
    fc.assert(fc.property(chosen, fc.infiniteStream(fc.boolean()), ({ record, indexes }, coins) => {
      const first = RecordBatch.open(selectFromRecord(record.batch, indexes))
      const again = indexes.map((_, index) => index).filter((index) => index === 0 || coins.next().value)
      const direct = selectFromRecord(record.batch, again.map((index) => indexes[index] as number))
      expect(selectFromRecord(first, again)).toEqual(direct)
    }))
  })

  test('of all messages is the record itself, uncopied', () => {
    const record = RecordBatch.open(sample(true))
    expect(selectFromRecord(record, [0, 1, 2, 3, 4, 5])).toBe(record.bytes)
    const holes = RecordBatch.open(selectFromRecord(record, [0, 2, 5]))
    expect(selectFromRecord(holes, [0, 1, 2])).toBe(holes.bytes)
  })

  test('may be without holes though the record has some', () => {
    const holes = RecordBatch.open(selectFromRecord(RecordBatch.open(sample(true)), [0, 3, 4]))
    const selected = RecordBatch.open(selectFromRecord(holes, [1, 2]))
    expect(selected).toMatchObject({ isWhole: true, baseOffset: 1_003, lastOffset: 1_004, hasGroupHashes: true })
    expect([0, 1].map((index) => selected.messageAt(index, 'orders', 0).tag)).toEqual(['d', 'e'])
  })

  test('takes no more slices along than it has messages of', () => {
    const record = RecordBatch.open(sample(true))
    const selected = RecordBatch.open(selectFromRecord(record, [0, 5]))
    expect([selected.sliceCount, selected.sliceAt(1).baseSequence, selected.sliceAt(1).firstIndex]).toEqual([2, 300, 1])
  })

  test('of nothing is a bug', () => {
    expect(() => selectFromRecord(RecordBatch.open(sample(true)), [])).toThrow(AssertionError)
  })
})

describe('damage', () => {
  test.each([false, true])('of any bit is found when a record is opened (FIFO: %s)', (isFifo) => {
    const bytes = sample(isFifo)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7))
      expect(codeOf(() => RecordBatch.open(flipped))).toBe('RECORD_DAMAGED')
    }
  })

  test('by a cut, anywhere, or by bytes too many, is found when a record is opened', () => {
    const bytes = sample(true)
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => RecordBatch.open(bytes.subarray(0, length)))).toBe('RECORD_DAMAGED')
    }
    expect(codeOf(() => RecordBatch.open(Uint8Array.from([...bytes, 0])))).toBe('RECORD_DAMAGED')
  })

  test('of a random kind is found when a record is opened', () => {
    fc.assert(fc.property(someRecord, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ bytes }, at, difference) => {
      const changed = bytes.slice()
      changed[at % bytes.length] = (changed[at % bytes.length] as number) ^ difference
      expect(codeOf(() => RecordBatch.open(changed))).toBe('RECORD_DAMAGED')
    }))
  })
})

describe('a view of hostile bytes', () => {
  /** Asks a view for all it can say. Throws what it throws. */
  function readAll(batch: RecordBatch): void {
    const { bytes, messageCount } = batch
    expect(messageCount).toBeGreaterThan(0)
    expect(messageCount).toBeLessThanOrEqual(fixedLimits.batchMessageCountMax)
    let offset = batch.baseOffset - 1
    let end = 0
    for (let index = 0; index < messageCount; index++) {
      expect(batch.offsetAt(index)).toBeGreaterThan(offset)
      offset = batch.offsetAt(index)
      expect(batch.messageStart(index)).toBeGreaterThanOrEqual(end)
      end = batch.messageEnd(index)
      expect(end).toBeGreaterThan(batch.messageStart(index))
      expect(end).toBeLessThanOrEqual(bytes.length)
      batch.tagHashAt(index)
      batch.groupHashAt(index)
      expect(batch.ttlAt(index)).toBeLessThanOrEqual(fixedLimits.ttlMsMax)
      expect(batch.isExpiredAt(index, batch.storedMs)).toBe(false)
      expect(batch.indexOf(offset)).toBe(index)
      const slice = batch.sliceOf(index)
      expect(slice.firstIndex).toBeLessThanOrEqual(index)
      expect(slice.producerId).toHaveLength(8)
      const decoded = codeOf(() => {
        const message = batch.messageAt(index, 'orders', 0)
        expect(Number.isSafeInteger(Number(message.messageId.split('-')[2]))).toBe(true)
      })
      const viewed = codeOf(() => {
        const view = new MessageView(batch, index)
        const { deliverMs, priority, ttlMs } = view
        expect((priority ?? 0) <= fixedLimits.priorityMax && (ttlMs ?? 1) <= fixedLimits.ttlMsMax).toBe(true)
        return [view.messageId, view.tag, view.keys, view.messageGroup, view.properties, view.bornMs, view.body, deliverMs]
      })
      expect(['none', 'BAD_FRAME', 'RECORD_DAMAGED']).toContain(decoded)
      expect(['none', 'BAD_FRAME', 'RECORD_DAMAGED']).toContain(viewed)
      if (decoded === 'none') expect(viewed).toBe('none')
    }
    expect(offset).toBe(batch.lastOffset)
    expect(Number.isSafeInteger(batch.lastOffset)).toBe(true)
    expect(Number.isSafeInteger(batch.storedMs)).toBe(true)
    const some = [...new Set([0, messageCount >>> 1, messageCount - 1])]
    expect(RecordBatch.view(selectFromRecord(batch, some)).messageCount).toBe(some.length)
  }

  /** Whether the bytes made a view; all of it was read then. */
  function survives(bytes: Uint8Array): boolean {
    let batch: RecordBatch
    try {
      batch = RecordBatch.view(bytes)
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      expect(error.code).toBe('RECORD_DAMAGED')
      return false
    }
    readAll(batch)
    return true
  }

  test('refuses what does not hold together, and stays within its bytes with what does', () => {
    let viewCount = 0
    const someChanges = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
    const cut = fc.option(fc.nat(300), { freq: 8 })
    fc.assert(fc.property(someRecord, someChanges, cut, ({ bytes }, changes, length) => {
      const hostile = bytes.slice(0, length ?? bytes.length)
      if (hostile.length === 0) return
      // Mostly in the header and the slices, where the lengths are.
      for (const [at, byte] of changes) hostile[at % Math.min(hostile.length, at & 1 ? 100 : hostile.length)] = byte
      hostile[4] = 1
      if (survives(hostile)) viewCount++
    }), { numRuns: 3_000 })
    expect(viewCount).toBeGreaterThan(200)
  })

  test('refuses random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      if (bytes.length > 4) bytes[4] = 1
      survives(bytes)
    }), { numRuns: 2_000 })
  })

  const sliceAt = 36
  const columnsAt = sliceAt + 3 * 28
  const columnAt = (column: number, index: number) => columnsAt + (column * 6 + index) * 4

  test.each<[string, (bytes: Uint8Array) => void]>([
    ['another format version', (bytes) => bytes.fill(2, 4, 5)],
    ['unknown flags', (bytes) => bytes.fill(8, 5, 6)],
    ['no slices', (bytes) => bytes.fill(0, 6, 8)],
    ['more slices than messages', (bytes) => bytes.fill(7, 6, 7)],
    ['more slices than bytes', (bytes) => bytes.fill(0xff, 6, 8)],
    ['a base offset over 53 bits', (bytes) => bytes.fill(0xff, 8, 16)],
    ['a last offset over 53 bits', (bytes) => setU53(bytes, 8, Number.MAX_SAFE_INTEGER)],
    ['a stored time over 53 bits', (bytes) => bytes.fill(0xff, 16, 24)],
    ['no messages', (bytes) => setU32(bytes, 28, 0)],
    ['more messages than it has room for', (bytes) => setU32(bytes, 28, 7)],
    ['more messages than allowed', (bytes) => setU32(bytes, 28, 0xffff_ffff)],
    ['fewer messages than offsets', (bytes) => setU32(bytes, 32, 6)],
    ['more messages than offsets', (bytes) => setU32(bytes, 32, 4)],
    ['a first slice that does not begin', (bytes) => setU32(bytes, sliceAt + 24, 1)],
    ['an empty slice', (bytes) => setU32(bytes, sliceAt + 28 + 24, 0)],
    ['slices out of order', (bytes) => setU32(bytes, sliceAt + 28 + 24, 5)],
    ['a slice behind the last message', (bytes) => setU32(bytes, sliceAt + 2 * 28 + 24, 6)],
    ['a sequence over 53 bits', (bytes) => bytes.fill(0xff, sliceAt + 12, sliceAt + 20)],
    ['a last sequence over 53 bits', (bytes) => setU53(bytes, sliceAt + 12, Number.MAX_SAFE_INTEGER)],
    ['a first message that does not begin', (bytes) => setU32(bytes, columnAt(1, 0), 1)],
    ['positions that go back', (bytes) => setU32(bytes, columnAt(1, 3), 4)],
    ['two messages at one position', (bytes) => bytes.copyWithin(columnAt(1, 3), columnAt(1, 2), columnAt(1, 3))],
    ['a position outside', (bytes) => setU32(bytes, columnAt(1, 5), 0xffff_fff0)],
    ['a last message without room', (bytes) => setU32(bytes, columnAt(1, 5), bytes.length - columnAt(3, 0) - 3)],
  ])('refuses a record with %s, though the checksum holds', (_, change) => {
    const bytes = sample(true)
    expect(survives(bytes)).toBe(true)
    change(bytes)
    expect(survives(bytes)).toBe(false)
    expect(codeOf(() => RecordBatch.open(sealed(bytes)))).toBe('RECORD_DAMAGED')
  })

  test.each([false, true])('refuses a record with a time to live that cannot be (FIFO: %s)', (isFifo) => {
    const slice = { ...sliceOf(sampleSlice(1, ['a', 'b']), isFifo), ttls: [1, 2] }
    const bytes = encodeRecordBatch({ epoch: 7, baseOffset: 0, storedMs: 5_000 }, [slice])
    const cell = sliceAt + 28 + (isFifo ? 3 : 2) * 8 + 4
    setU32(bytes, cell, fixedLimits.ttlMsMax)
    expect(RecordBatch.open(sealed(bytes)).ttlAt(1)).toBe(fixedLimits.ttlMsMax)
    for (const ttlMs of [fixedLimits.ttlMsMax + 1, 0xffff_ffff]) {
      setU32(bytes, cell, ttlMs)
      expect(codeOf(() => RecordBatch.open(sealed(bytes)))).toBe('RECORD_DAMAGED')
    }
  })

  test('refuses a record that says it has times to live and has no room for them', () => {
    const message = { headers: { bornMs: 1 }, body: new Uint8Array(0) }
    const slice = sliceOf({ ...sampleSlice(1, ['a']), messages: [message] }, false)
    const bytes = encodeRecordBatch({ epoch: 7, baseOffset: 0, storedMs: 5_000 }, [slice])
    expect(codeOf(() => RecordBatch.open(bytes))).toBe('none')
    bytes[5] = 4
    expect(codeOf(() => RecordBatch.open(sealed(bytes)))).toBe('RECORD_DAMAGED')
  })

  test.each<[string, (bytes: Uint8Array, at: number) => void]>([
    ['a first offset that is not the base', (bytes, at) => setU32(bytes, at, 1)],
    ['offsets that go back', (bytes, at) => setU32(bytes, at + 8, 1)],
    ['the same offset twice', (bytes, at) => setU32(bytes, at + 4, 0)],
    ['a last offset that is not the last', (bytes, at) => setU32(bytes, at + 8, 0xffff_ffff)],
  ])('refuses a selection with %s', (_, change) => {
    const selected = selectFromRecord(RecordBatch.open(sample(false)), [0, 2, 5])
    const { sliceCount, messageCount } = RecordBatch.view(selected)
    change(selected, sliceAt + sliceCount * 28 + 2 * messageCount * 4)
    expect(codeOf(() => RecordBatch.open(sealed(selected)))).toBe('RECORD_DAMAGED')
  })

  test('refuses a message that does not end where the next one begins', () => {
    const bytes = sample(false)
    const record = RecordBatch.view(bytes)
    bytes[record.messageStart(2)] = 5
    expect(codeOf(() => record.messageAt(2, 'orders', 0))).toBe('BAD_FRAME')
    expect(codeOf(() => new MessageView(record, 2).body)).toBe('RECORD_DAMAGED')
    expect(codeOf(() => record.messageAt(1, 'orders', 0))).toBe('none')
  })

  test('refuses a message whose sequence is not of its batch', () => {
    const bytes = sample(false)
    const record = RecordBatch.view(bytes)
    bytes[record.messageStart(2) + 2] = 3
    expect(codeOf(() => record.messageAt(2, 'orders', 0))).toBe('RECORD_DAMAGED')
    expect(codeOf(() => new MessageView(record, 2).messageId)).toBe('RECORD_DAMAGED')
    expect(codeOf(() => new MessageView(record, 2).body)).toBe('none')
  })
})

// Delayed messages as stored: what is written is read back, byte order is the order they are due, nothing damaged is
// taken for whole, and counts are found again.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { encodeMessage, decodeMessage } from '../../../core/record/message-codec.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { scheduledMessage } from '../../../core/record/scheduled-message.ts'
import {
  compareDelayed, decodeDelayedCount, DelayedEntry, delayedPlace, delayedSizeMax, delayedTimeOf, encodeDelayedCount,
  entryOrUndefined, openDelayed, readDueTimes, recordOfDelayed, writeDelayed,
} from '../../../core/storage/delayed.ts'
import { delayedKey, dueTimeKey } from '../../../core/storage/keys.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { compareKeys } from '../../../core/storage/ordered-map.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { encodeMessages, someMessage } from '../../support/messages.ts'

const someEntry = fc.record({
  message: someMessage,
  deliverMs: fc.oneof(fc.constant(1_795_000_060_000), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  producerId: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  producerEpoch: fc.nat(0xffff_ffff),
  sequence: fc.oneof(fc.nat(), fc.constant(fixedLimits.offsetMax - 20_000)),
  topicId: fc.nat(0xffff_ffff),
})
type SomeEntry = typeof someEntry extends fc.Arbitrary<infer T> ? T : never

function entryOf(some: SomeEntry): { key: Uint8Array; value: Uint8Array } {
  const source = encodeMessages([some.message])
  const target = new Uint8Array(7 + delayedSizeMax(source.length))
  const end = writeDelayed(target, 7, source, 0, source.length, some.deliverMs)
  const key = delayedKey(some.deliverMs, some.producerId, some.producerEpoch, some.sequence, some.topicId)
  return { key, value: target.slice(7, end) }
}

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    return error instanceof PocketError ? error.code : String(error)
  }
  return 'no error'
}

describe('a delayed message', () => {
  it('is read back as it was written, with its place, its batch and its time', () => {
    fc.assert(fc.property(someEntry, (some) => {
      const { key, value } = entryOf(some)
      const entry = openDelayed(key, value)
      const { deliverMs, producerId, producerEpoch, sequence, topicId } = some
      expect({
        deliverMs: entry.deliverMs, producerId: new Uint8Array(entry.producerId), producerEpoch: entry.producerEpoch,
        sequence: entry.sequence, topicId: entry.topicId,
      }).toEqual({ deliverMs, producerId, producerEpoch, sequence, topicId })
      expect(delayedTimeOf(key)).toBe(deliverMs)
      const source = encodeMessages([some.message])
      expect(value.subarray(entry.messageStart)).toEqual(scheduledMessage(source, 0, source.length, deliverMs))
      expect(delayedPlace(deliverMs, entry.id, topicId).key).toEqual(key)
    }))
  })

  it('is shown as a record of one, without a place', () => {
    fc.assert(fc.property(someEntry, (some) => {
      const { key, value } = entryOf(some)
      const record = RecordBatch.open(recordOfDelayed(openDelayed(key, value)))
      expect([record.epoch, record.baseOffset, record.storedMs, record.messageCount]).toEqual([0, 0, 0, 1])
      const { delayMs: _, ...headers } = some.message.headers
      const message = record.messageAt(0, 't', 0)
      expect(message).toMatchObject({ ...headers, deliverMs: some.deliverMs, body: some.message.body })
      expect(message.messageId.endsWith(`-${some.producerEpoch}-${some.sequence}`)).toBe(true)
    }))
  })

  it('with any bit flipped is damaged', () => {
    fc.assert(fc.property(someEntry, fc.nat(), (some, at) => {
      const { key, value } = entryOf(some)
      const bit = at % (value.length * 8)
      value[bit >>> 3] = (value[bit >>> 3] as number) ^ (1 << (bit & 7))
      expect(codeOf(() => openDelayed(key, value))).toBe('RECORD_DAMAGED')
      expect(entryOrUndefined(key, value)).toBeUndefined()
    }))
  })

  it('cut short, or of another key, is damaged', () => {
    const { key, value } = entryOf(fc.sample(someEntry, 1)[0] as SomeEntry)
    for (let size = 0; size < value.length; size++) {
      expect(codeOf(() => openDelayed(key, value.subarray(0, size)))).toBe('RECORD_DAMAGED')
    }
    for (const size of [0, 1, 32]) expect(codeOf(() => openDelayed(key.subarray(0, size), value))).toBe('RECORD_DAMAGED')
    expect([delayedTimeOf(Uint8Array.of(11)), delayedTimeOf(key.subarray(0, 8))]).toEqual([0, 0])
  })

  it('is in the order it is due, then of its producer, its sequence and its topic', () => {
    const place = fc.record({
      deliverMs: fc.oneof(fc.nat(3), fc.constant(2 ** 40)), producer: fc.nat(2), epoch: fc.nat(2),
      sequence: fc.oneof(fc.nat(3), fc.constant(2 ** 33)), topicId: fc.nat(2),
    })
    const numbers = ({ deliverMs, producer, epoch, sequence, topicId }: { [name: string]: number }) =>
      [deliverMs, producer, epoch, sequence, topicId] as number[]
    const entry = ({ deliverMs, producer, epoch, sequence, topicId }: { [name: string]: number }) => {
      const producerId = new Uint8Array(8).fill(producer as number)
      const key = delayedKey(deliverMs as number, producerId, epoch as number, sequence as number, topicId as number)
      return new DelayedEntry(key, deliverMs as number, new Uint8Array(0), 0)
    }
    fc.assert(fc.property(place, place, (left, right) => {
      const differences = numbers(left).map((number, index) => number - (numbers(right)[index] as number))
      const difference = differences.find((by) => by !== 0) ?? 0
      expect(Math.sign(compareDelayed(entry(left), entry(right)))).toBe(Math.sign(difference))
      expect(Math.sign(compareKeys(entry(left).key, entry(right).key))).toBe(Math.sign(difference))
    }))
  })

  it('is refused where its bytes are no message', () => {
    const writer = new ByteWriter()
    encodeMessage(writer, new ByteWriter(), 0, { bornMs: 1, delayMs: 5 }, Uint8Array.of(1, 2, 3))
    const source = writer.finish()
    const target = new Uint8Array(delayedSizeMax(source.length))
    expect(codeOf(() => writeDelayed(target, 0, source, 0, source.length - 1, 9))).toBe('BAD_FRAME')
    expect(codeOf(() => decodeMessage(source, 0, source.length))).toBe('no error')
  })
})

describe('the times of a producer’s messages', () => {
  it('are found by their sequences, in every topic, and no others', async () => {
    const clock = new SimClock()
    const store = createMemoryStore({ clock })
    const id = (last: number) => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, last)
    const far = 2 ** 50
    const places = [
      [id(1), 0, 5, 1, 100], [id(1), 0, 6, 1, 50], [id(1), 0, 6, 2, 70], [id(1), 0, 6 + 2 ** 32, 1, far],
      [id(1), 1, 6, 1, 10], [id(2), 0, 6, 1, 10], [id(0), 0, 6, 1, 10],
    ] as const
    const keys = places.map(([producerId, epoch, sequence, topicId, time]) => {
      return dueTimeKey(producerId, epoch, sequence, topicId, time)
    })
    store.commit(keys.map((key) => ({ key, value: new Uint8Array(0) })), () => {})
    clock.runUntilIdle()
    const found = async (first: number, last: number) => {
      const times: number[][] = []
      const reading = (async () => {
        for await (const { sequence, topicId, deliverMs } of readDueTimes(store, id(1), 0, first, last)) {
          times.push([sequence, topicId, deliverMs])
        }
        return true
      })()
      for (let isDone = false; !isDone;) {
        clock.runUntilIdle()
        isDone = await Promise.race([reading, Promise.resolve(false)])
      }
      return times
    }
    expect(await found(6, 6)).toEqual([[6, 1, 50], [6, 2, 70]])
    expect(await found(0, 5)).toEqual([[5, 1, 100]])
    expect(await found(5, 2 ** 40)).toEqual([[5, 1, 100], [6, 1, 50], [6, 2, 70], [6 + 2 ** 32, 1, far]])
    expect(await found(7, 2 ** 32)).toEqual([])
  })
})

describe('a count of delayed messages', () => {
  it('is read back', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (count) => {
      expect(decodeDelayedCount(encodeDelayedCount(count))).toBe(count)
    }))
  })
})

describe('the room for a delayed message', () => {
  it('is enough for the longest that its fields can be', () => {
    const headers = { bornMs: Number.MAX_SAFE_INTEGER, delayMs: 0 }
    // One byte more, and its size takes another.
    const source = encodeMessages([{ headers, body: new Uint8Array(126 - 12) }])
    const room = delayedSizeMax(source.length)
    const target = new Uint8Array(room + 1).fill(0xaa)
    const end = writeDelayed(target, 0, source, 0, source.length, Number.MAX_SAFE_INTEGER)
    expect(end).toBeLessThanOrEqual(room)
    expect(target[room]).toBe(0xaa)
    const key = delayedKey(Number.MAX_SAFE_INTEGER, new Uint8Array(8), 0, 5, 1)
    expect(openDelayed(key, target.slice(0, end)).deliverMs).toBe(Number.MAX_SAFE_INTEGER)
  })
})

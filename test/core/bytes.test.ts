// The writer and the reader of bytes mirror each other, and neither can be brought to leave its range.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ByteReader, bytesEqual, bytesToText, ByteWriter, clipText, concatBytes, getU32, getU53, setU32, setU53, textSize,
  textToBytes, varintSize,
} from '../../core/bytes.ts'
import { PocketError } from '../../core/errors.ts'

const u53 = fc.oneof(
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(0, 0x7f, 0x80, 0x3fff, 0x4000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
)
const notU53 = [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof PocketError ? error.code : `not coded: ${String(error)}`
  }
  return 'nothing thrown'
}

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(0)
  write(writer)
  return writer.finish()
}

describe('varints', () => {
  test.each([
    [0, '00'],
    [1, '01'],
    [127, '7f'],
    [128, '80 01'],
    [300, 'ac 02'],
    [16_383, 'ff 7f'],
    [16_384, '80 80 01'],
    [2 ** 31, '80 80 80 80 08'],
    [2 ** 32 - 1, 'ff ff ff ff 0f'],
    [2 ** 32, '80 80 80 80 10'],
    [Number.MAX_SAFE_INTEGER, 'ff ff ff ff ff ff ff 0f'],
  ])('%d is %s', (value, bytes) => {
    expect(written((w) => w.varint(value))).toEqual(hex(bytes))
    expect(new ByteReader(hex(bytes)).varint()).toBe(value)
    expect(varintSize(value)).toBe(hex(bytes).length)
  })

  test('come back as they were, and take as many bytes as announced', () => {
    fc.assert(fc.property(u53, (value) => {
      const bytes = written((w) => w.varint(value))
      const reader = new ByteReader(bytes)
      expect(reader.varint()).toBe(value)
      expect(reader.remaining).toBe(0)
      expect(varintSize(value)).toBe(bytes.length)
    }))
  })

  test('may be longer than needed, up to eight bytes', () => {
    expect(new ByteReader(hex('80 80 80 80 80 80 80 00')).varint()).toBe(0)
    expect(new ByteReader(hex('81 00')).varint()).toBe(1)
  })

  test.each([
    ['over 53 bits', 'ff ff ff ff ff ff ff 10'],
    ['over eight bytes', '80 80 80 80 80 80 80 80 00'],
    ['cut short', '80 80'],
    ['not there', ''],
  ])('%s are refused', (_, bytes) => {
    expect(codeOf(() => new ByteReader(hex(bytes)).varint())).toBe('BAD_FRAME')
  })

  test('that stand beyond the range of a reader are not read', () => {
    expect(codeOf(() => new ByteReader(hex('80 01'), 0, 1).varint())).toBe('BAD_FRAME')
  })
})

describe('integers of fixed size', () => {
  test('are little-endian', () => {
    expect(written((w) => w.u8(0xab))).toEqual(hex('ab'))
    expect(written((w) => w.u16(0xabcd))).toEqual(hex('cd ab'))
    expect(written((w) => w.u32(0x89abcdef))).toEqual(hex('ef cd ab 89'))
    expect(written((w) => w.u53(0x1f_2345_6789_abcd))).toEqual(hex('cd ab 89 67 45 23 1f 00'))
  })

  test('come back as they were, through cursors and at fixed places', () => {
    fc.assert(fc.property(fc.nat(0xff), fc.nat(0xffff), fc.nat(0xffff_ffff), u53, (a, b, c, d) => {
      const bytes = written((w) => {
        w.u8(a)
        w.u16(b)
        w.u32(c)
        w.u53(d)
      })
      const reader = new ByteReader(bytes)
      expect([reader.u8(), reader.u16(), reader.u32(), reader.u53()]).toEqual([a, b, c, d])
      expect(getU32(bytes, 3)).toBe(c)
      expect(getU53(bytes, 7)).toBe(d)
      const placed = new Uint8Array(12)
      setU32(placed, 0, c)
      setU53(placed, 4, d)
      expect(placed).toEqual(bytes.subarray(3))
    }))
  })

  test('of eight bytes are refused over 53 bits', () => {
    expect(codeOf(() => new ByteReader(hex('00 00 00 00 00 00 20 00')).u53())).toBe('BAD_FRAME')
    expect(codeOf(() => new ByteReader(hex('ff ff ff ff ff ff ff ff')).u53())).toBe('BAD_FRAME')
    expect(new ByteReader(hex('ff ff ff ff ff ff 1f 00')).u53()).toBe(Number.MAX_SAFE_INTEGER)
  })
})

describe('a writer', () => {
  const someChunks = fc.array(fc.uint8Array({ maxLength: 9_000 }), { maxLength: 12 })

  test('refuses numbers that do not fit, and stays as it was', () => {
    const writer = new ByteWriter()
    writer.u8(1)
    for (const value of notU53) {
      expect(codeOf(() => writer.varint(value))).toBe('BAD_ARGUMENT')
      expect(codeOf(() => writer.u53(value))).toBe('BAD_ARGUMENT')
      expect(codeOf(() => writer.u32(value))).toBe('BAD_ARGUMENT')
      expect(codeOf(() => writer.u16(value))).toBe('BAD_ARGUMENT')
      expect(codeOf(() => writer.u8(value))).toBe('BAD_ARGUMENT')
      expect(codeOf(() => writer.patchU32(0, value))).toBe('BAD_ARGUMENT')
    }
    expect(codeOf(() => writer.u8(0x100))).toBe('BAD_ARGUMENT')
    expect(codeOf(() => writer.u16(0x1_0000))).toBe('BAD_ARGUMENT')
    expect(codeOf(() => writer.u32(2 ** 32))).toBe('BAD_ARGUMENT')
    expect(writer.finish()).toEqual(hex('01'))
  })

  test('refuses a text over its bound, and stays as it was', () => {
    const writer = new ByteWriter()
    writer.text('ä'.repeat(5), 10)
    for (const text of ['a'.repeat(11), 'ä'.repeat(6), '€'.repeat(4), '😀'.repeat(3)]) {
      expect(codeOf(() => writer.text(text, 10))).toBe('BAD_ARGUMENT')
    }
    expect(writer.length).toBe(11)
  })

  test('grows as needed and gives what later writes leave alone, each in a buffer of its own', () => {
    fc.assert(fc.property(someChunks, fc.nat(600), (chunks, capacity) => {
      const writer = new ByteWriter(capacity)
      const finished = chunks.map((chunk) => {
        writer.raw(chunk)
        expect(writer.length).toBe(chunk.length)
        return writer.finish()
      })
      expect(finished).toEqual(chunks)
      for (const bytes of finished) expect(bytes.byteOffset).toBe(0)
      expect(new Set(finished.map(({ buffer }) => buffer)).size).toBe(finished.length)
    }))
  })

  test('gives views away that later writes leave alone', () => {
    fc.assert(fc.property(someChunks, fc.nat(600), (chunks, capacity) => {
      const writer = new ByteWriter(capacity)
      const given = chunks.map((chunk, index) => {
        writer.raw(chunk)
        // Copies in between, as both ways of taking are used on one writer.
        return index % 3 === 2 ? writer.finish() : writer.handOver()
      })
      writer.raw(new Uint8Array(300).fill(0xee))
      expect(given).toEqual(chunks)
    }))
  })

  test('patches and takes back what it holds, also behind what it gave away', () => {
    const writer = new ByteWriter(64)
    writer.u32(7)
    const first = writer.handOver()
    writer.u32(0)
    writer.text('abc')
    writer.patchU32(0, 0x01020304)
    writer.truncate(6)
    expect(first).toEqual(hex('07 00 00 00'))
    expect(writer.finish()).toEqual(hex('04 03 02 01 03 61'))
    writer.truncate(100)
    expect(writer.length).toBe(0)
  })

  test('takes over what another holds', () => {
    const writer = new ByteWriter()
    const other = new ByteWriter()
    other.u8(9)
    other.handOver()
    other.bytes(hex('01 02'))
    writer.append(other)
    expect(writer.finish()).toEqual(hex('02 01 02'))
    expect(other.length).toBe(0)
  })
})

describe('texts', () => {
  const anyText = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ unit: 'grapheme', minLength: 30, maxLength: 60 }),
    fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\u0000', '\ufeff'), maxLength: 400 }),
  )

  test('come back as they were, with the size they were said to have', () => {
    fc.assert(fc.property(anyText, (text) => {
      const bytes = written((w) => w.text(text))
      const reader = new ByteReader(bytes)
      expect(reader.text(1_000_000)).toBe(text)
      expect(reader.remaining).toBe(0)
      expect(textSize(text)).toBe(textToBytes(text).length)
      expect(bytesToText(textToBytes(text))).toBe(text)
      expect(bytes.length).toBe(textSize(text) + varintSize(textSize(text)))
    }), { numRuns: 500 })
  })

  test.each(['\ufeffa', '\ufeff', `${'a'.repeat(30)}\ufeff`])('keep a byte order mark: %j', (text) => {
    expect(bytesToText(textToBytes(text))).toBe(text)
  })

  test.each(['\ud800', 'a\udc00b', '\ud83d', '\udc00\ud800'])('with half a character have no size: %j', (text) => {
    expect(codeOf(() => textSize(text))).toBe('BAD_ARGUMENT')
  })

  test.each([
    '80', '61 ff', 'c0 80', 'ed a0 80', 'f4 90 80 80', `${'61 '.repeat(30)}e2 82`,
  ])('that are no UTF-8 are refused: %s', (bytes) => {
    expect(codeOf(() => bytesToText(hex(bytes)))).toBe('BAD_FRAME')
  })

  test('over the bound of their reader are refused', () => {
    const bytes = written((w) => w.text('abcd'))
    expect(new ByteReader(bytes).text(4)).toBe('abcd')
    expect(codeOf(() => new ByteReader(bytes).text(3))).toBe('BAD_FRAME')
  })

  test('are clipped between characters, to as much as fits', () => {
    fc.assert(fc.property(anyText, fc.nat(100), (text, bytesMax) => {
      const clipped = clipText(text, bytesMax)
      expect(text.startsWith(clipped)).toBe(true)
      const size = textSize(clipped)
      expect(size).toBeLessThanOrEqual(bytesMax)
      const next = String.fromCodePoint(...[text.codePointAt(clipped.length)].filter((point) => point !== undefined))
      if (next !== '') expect(size + textSize(next)).toBeGreaterThan(bytesMax)
    }))
  })
})

describe('a reader', () => {
  test('never leaves its range, whatever it is asked for', () => {
    const steps: readonly ((reader: ByteReader, argument: number) => unknown)[] = [
      (r) => r.u8(), (r) => r.u16(), (r) => r.u32(), (r) => r.u53(), (r) => r.varint(),
      (r, n) => r.raw(n), (r, n) => r.bytes(n), (r, n) => r.text(n), (r, n) => r.count(n, 3), (r, n) => r.skip(n),
      (r, n) => r.narrow(n),
    ]
    const someSteps = fc.array(fc.tuple(fc.nat(steps.length - 1), fc.nat(40)), { maxLength: 20 })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(20), someSteps, (bytes, end, asked) => {
      const range = Math.min(end, bytes.length)
      const reader = new ByteReader(bytes, 0, range)
      for (const [index, argument] of asked) {
        const before = reader.position
        try {
          ;(steps[index] as (typeof steps)[number])(reader, argument)
        } catch (error) {
          expect((error as PocketError).code).toBe('BAD_FRAME')
        }
        expect(reader.position).toBeGreaterThanOrEqual(before)
        expect(reader.position).toBeLessThanOrEqual(range)
        expect(reader.remaining).toBeGreaterThanOrEqual(0)
      }
    }), { numRuns: 500 })
  })

  test('gives views, not copies', () => {
    const bytes = hex('02 aa bb cc')
    const reader = new ByteReader(bytes)
    const view = reader.bytes(2)
    bytes[1] = 0x11
    expect(view).toEqual(hex('11 bb'))
    expect(reader.raw(1).buffer).toBe(bytes.buffer)
  })

  test('believes no count that its bytes cannot hold', () => {
    expect(new ByteReader(hex('02 00 00')).count(2)).toBe(2)
    expect(codeOf(() => new ByteReader(hex('03 00 00')).count(3))).toBe('BAD_FRAME')
    expect(codeOf(() => new ByteReader(hex('02 00 00')).count(1))).toBe('BAD_FRAME')
    expect(codeOf(() => new ByteReader(hex('02 00 00 00')).count(2, 2))).toBe('BAD_FRAME')
    expect(new ByteReader(hex('02 00 00 00 00')).count(2, 2)).toBe(2)
  })

  test('reads no further than it was narrowed to, until it is widened', () => {
    const reader = new ByteReader(hex('01 02 03'))
    const outer = reader.narrow(1)
    expect(reader.u8()).toBe(1)
    expect(codeOf(() => reader.u8())).toBe('BAD_FRAME')
    reader.widen(outer)
    expect(reader.u16()).toBe(0x0302)
    expect(codeOf(() => reader.narrow(1))).toBe('BAD_FRAME')
  })
})

test('bytes are equal by content and length', () => {
  expect(bytesEqual(hex('01 02'), hex('01 02'))).toBe(true)
  expect(bytesEqual(hex('01 02'), hex('01 03'))).toBe(false)
  expect(bytesEqual(hex('01 02'), hex('01'))).toBe(false)
})

test('chunks are joined in order, and a single one is not copied', () => {
  const only = hex('01 02')
  expect(concatBytes([only])).toBe(only)
  expect(concatBytes([only, hex(''), hex('03')])).toEqual(hex('01 02 03'))
  expect(concatBytes([])).toEqual(hex(''))
})

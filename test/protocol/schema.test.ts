// The language of fields: each kind writes what PROTOCOL.md says, reads it back, and refuses the rest on both sides.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { PocketError } from '../../core/errors.ts'
import { retry, start } from '../../core/protocol/fields.ts'
import {
  type Field, fixedBytes, flag, list, note, oneOf, optional, rest, sizedBytes, struct, text, u8, u16, u32, varint,
  varint32,
} from '../../core/protocol/schema.ts'
import { frameSpecs } from '../support/frames.ts'
import { parseForm, valuesOf } from '../support/forms.ts'

const pair = struct({ a: u8, b: varint })

const fields: readonly Field<unknown>[] = [
  u8, u16, u32, varint, varint32, flag, text(10), note(10), fixedBytes(3), sizedBytes, rest, list(pair, 4),
  optional(pair), oneOf('x', 'y', 'z'), pair, list(list(u32, 3), 3), optional(optional(flag)),
  start, retry,
] as readonly Field<unknown>[]
const byForm = fields.map((field) => [field.form, field] as const)

function write<T>(field: Field<T>, value: unknown): Uint8Array {
  const writer = new ByteWriter()
  field.write(writer, value as T)
  return writer.finish()
}

function read<T>(field: Field<T>, bytes: readonly number[]): T {
  return field.read(new ByteReader(Uint8Array.from(bytes)))
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof PocketError ? error.code : `not coded: ${String(error)}`
  }
  return 'none'
}

describe.each(byForm)('%s', (formText, field) => {
  test('is written and read as the same value', () => {
    fc.assert(fc.property(valuesOf(parseForm(formText)), (value) => {
      const bytes = write(field, value)
      const reader = new ByteReader(bytes)
      expect(field.read(reader)).toEqual(value)
      expect(reader.remaining).toBe(0)
      expect(bytes.length).toBeGreaterThanOrEqual(field.sizeMin)
    }))
  })

  test('is not read from fewer bytes than it takes at least', () => {
    for (let length = 0; length < field.sizeMin; length++) {
      for (const filling of [0, 1, 0x7f]) {
        expect(codeOf(() => read(field, new Array<number>(length).fill(filling)))).toBe('BAD_FRAME')
      }
    }
  })
})

describe('bytes of a field', () => {
  test.each<[Field<never>, unknown, readonly number[]]>([
    [u16 as Field<never>, 0x0102, [2, 1]],
    [u32 as Field<never>, 0x01020304, [4, 3, 2, 1]],
    [varint as Field<never>, 300, [0xac, 2]],
    [flag as Field<never>, true, [1]],
    [text(9) as Field<never>, 'aä', [3, 97, 0xc3, 0xa4]],
    [sizedBytes as Field<never>, Uint8Array.of(9, 8), [2, 9, 8]],
    [rest as Field<never>, Uint8Array.of(9, 8), [9, 8]],
    [list(u8, 9) as Field<never>, [5, 6], [2, 5, 6]],
    [optional(u8) as Field<never>, undefined, [0]],
    [optional(u8) as Field<never>, 7, [1, 7]],
    [oneOf('x', 'y') as Field<never>, 'y', [1]],
    [pair as Field<never>, { b: 300, a: 1 }, [1, 0xac, 2]],
    [start as Field<never>, { kind: 'earliest' }, [0]],
    [start as Field<never>, { kind: 'position', position: { epoch: 1, offset: 2 } }, [3, 1, 0, 0, 0, 2]],
    [retry as Field<never>, { kind: 'schedule', delaysMs: [1, 2] }, [0, 2, 1, 2]],
    [retry as Field<never>, { kind: 'exponential', firstMs: 1, factor: 2, maxMs: 300 }, [1, 1, 2, 0xac, 2]],
  ])('are as PROTOCOL.md says: %j', (field, value, bytes) => {
    expect([...write(field, value)]).toEqual(bytes)
    expect(read(field, bytes)).toEqual(value)
  })
})

describe('a field refuses to write', () => {
  test.each<[string, Field<unknown>, unknown]>([
    ['a number that does not fit', u8 as Field<unknown>, 256],
    ['a number over 32 bits', varint32 as Field<unknown>, 2 ** 32],
    ['a negative number', varint as Field<unknown>, -1],
    ['no number', varint as Field<unknown>, undefined],
    ['a text over its bound', text(3) as Field<unknown>, 'ää'],
    ['too few bytes', fixedBytes(8) as Field<unknown>, new Uint8Array(7)],
    ['too many bytes', fixedBytes(8) as Field<unknown>, new Uint8Array(9)],
    ['a list over its bound', list(u8, 2) as Field<unknown>, [1, 2, 3]],
    ['a word it does not have', oneOf('x', 'y') as Field<unknown>, 'z'],
    ['a choice it does not have', retry as Field<unknown>, { kind: 'never' }],
    ['a choice over its bound', retry as Field<unknown>, { kind: 'schedule', delaysMs: new Array(65).fill(1) }],
  ])('%s', (_, field, value) => {
    expect(codeOf(() => write(field, value))).toBe('BAD_ARGUMENT')
  })
})

describe('a field refuses to read', () => {
  test.each<[string, Field<unknown>, readonly number[]]>([
    ['a number over 32 bits', varint32 as Field<unknown>, [0x80, 0x80, 0x80, 0x80, 0x10]],
    ['a flag that is neither', flag as Field<unknown>, [2]],
    ['an optional that is neither', optional(u8) as Field<unknown>, [2, 1]],
    ['a text over its bound', text(3) as Field<unknown>, [4, 97, 97, 97, 97]],
    ['a text that is no UTF-8', text(3) as Field<unknown>, [1, 0xff]],
    ['a list over its bound', list(u8, 2) as Field<unknown>, [3, 1, 1, 1]],
    ['a list longer than its bytes', list(u32, 9) as Field<unknown>, [2, 1, 1, 1, 1, 1, 1, 1]],
    ['bytes longer than there are', sizedBytes as Field<unknown>, [3, 1, 1]],
    ['a word it does not have', oneOf('x', 'y') as Field<unknown>, [2]],
    ['a choice it does not have', retry as Field<unknown>, [2, 1, 1]],
    ['a choice over its bound', retry as Field<unknown>, [0, 65, ...new Array<number>(65).fill(1)]],
    ['a choice that is cut short', start as Field<unknown>, [3, 1, 0, 0]],
  ])('%s', (_, field, bytes) => {
    expect(codeOf(() => read(field, bytes))).toBe('BAD_FRAME')
  })
})

test('a note over its bound is cut when it is written, and refused when it is read', () => {
  expect([...write(note(4), 'aä€')]).toEqual([3, 97, 0xc3, 0xa4])
  expect(codeOf(() => read(note(4), [5, 97, 97, 97, 97, 97]))).toBe('BAD_FRAME')
})

test('names that are not harmless elsewhere are names here', () => {
  const field = struct({ constructor: u8, toString: u8 })
  expect(read(field, [1, 2])).toEqual({ constructor: 1, toString: 2 })
})

test('every frame of the wire is written in this language', () => {
  for (const { form, formText } of frameSpecs) {
    expect(form.kind).toBe('struct')
    expect(formText).toMatch(/^\{ .* \}$/)
  }
})

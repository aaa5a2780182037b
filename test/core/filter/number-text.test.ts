// Numbers in texts: the quick way of reading them gives what the plain one does, to the last bit.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { textToBytes } from '../../../core/bytes.ts'
import { numberAt, parseNumber } from '../../../core/filter/number-text.ts'
import { referenceNumber } from './reference.ts'

function read(text: string): number | bigint | undefined {
  const bytes = textToBytes(text)
  const source = new Uint8Array(bytes.length + 2).fill(0x31)
  source.set(bytes, 1)
  const value = numberAt(source, 1, 1 + bytes.length)
  // From text it is the same.
  expect(Object.is(value, parseNumber(text) ?? Number.NaN)).toBe(true)
  return Number.isNaN(value) ? undefined : value
}

test.each<[string, number | bigint]>([
  ['0', 0],
  ['-0', -0],
  ['+7', 7],
  ['0007', 7],
  ['-12.50', -12.5],
  ['1.', 1],
  ['.25', 0.25],
  ['-.25', -0.25],
  ['0.1', 0.1],
  ['123456789012345', 123456789012345],
  ['1234567890.12345', 1234567890.12345],
  ['1234567890.123456', 1234567890.123456],
  ['0.00000000000001', 1e-14],
  ['9007199254740991', 9007199254740991],
  ['9007199254740992', 9007199254740992n],
  ['-9007199254740993', -9007199254740993n],
  ['9999999999999999999', 9999999999999999999n],
  ['00009999999999999999999', 9999999999999999999n],
  ['10000000000000000000', 1e19],
  ['1e3', 1000],
  ['1E+3', 1000],
  ['-1.5e-3', -0.0015],
  ['1e308', 1e308],
  ['5e-324', 5e-324],
  ['1e-999', 0],
])('%j is the number %s', (text, value) => {
  expect(read(text)).toBe(value)
})

test.each([
  '', '+', '-', '.', '-.', '+-1', '--1', '1-', '1e', '1e+', 'e1', '.e1', '1.2.3', '1,5', ' 1', '1 ', '1L', '0x10', '1_000', 'NaN',
  'Infinity', '1e309', '-1e309', '٣', '1\u0000', 'ü',
])('%j is no number', (text) => {
  expect(read(text)).toBeUndefined()
})

test('has at most 64 characters', () => {
  expect(read('0'.repeat(64))).toBe(0)
  expect(read(`-${'0'.repeat(62)}.`)).toBe(-0)
  expect(read('0'.repeat(65))).toBeUndefined()
  expect(read(`1.${'0'.repeat(63)}`)).toBeUndefined()
  expect(read('9'.repeat(17_000))).toBeUndefined()
})

test('reads any text as the plain way does', () => {
  const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 20 })
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'0019.e+-'), maxLength: 10 }),
    fc.tuple(fc.constantFrom('', '-', '+'), digits, fc.constantFrom('', '.'), digits, fc.constantFrom('', 'e5', 'E-7', 'e+30'))
      .map((parts) => parts.join('')),
    fc.double().map(String),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  )
  fc.assert(fc.property(text, (text) => {
    const expected = referenceNumber(text)
    const value = read(text)
    if (expected === null || value === undefined) expect([text, value]).toEqual([text, expected ?? undefined])
    else expect([text, value < expected, value > expected]).toEqual([text, false, false])
  }), { numRuns: 3_000 })
})

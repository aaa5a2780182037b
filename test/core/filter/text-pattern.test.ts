// LIKE: what its wildcards stand for, in characters and not in bytes, and that no pattern makes it slow.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { textToBytes } from '../../../core/bytes.ts'
import { likeMatcher, likePartsOf } from '../../../core/filter/text-pattern.ts'
import { isLike } from './reference.ts'

function matches(text: string, pattern: string, escape?: string): boolean {
  const matcher = likeMatcher(likePartsOf(pattern, escape, (index) => new Error(`wrong at ${index}`)))
  const bytes = textToBytes(text)
  // Within others, so that a matcher which looks around is found out.
  const source = new Uint8Array(bytes.length + 8).fill(0x61)
  source.set(bytes, 4)
  const isMatch = matcher(source, 4, 4 + bytes.length)
  expect(matcher(source, 4, 4 + bytes.length)).toBe(isMatch)
  return isMatch
}

describe('a LIKE pattern', () => {
  test.each<[pattern: string, matching: string[], others: string[]]>([
    ['', [''], ['a', '%']],
    ['%', ['', 'a', 'äöü'], []],
    ['%%%', ['', 'a'], []],
    ['_', ['a', 'ä', '€', '😀', '%'], ['', 'ab', 'aä']],
    ['__', ['ab', 'ä€', '😀😀'], ['a', 'ä', '😀', 'abc']],
    ['_%', ['a', 'ab', '😀'], ['']],
    ['%_', ['a', 'ab', '😀'], ['']],
    ['%_%_%', ['ab', 'ä€', 'abc'], ['', 'a', '😀']],
    ['abc', ['abc'], ['', 'ab', 'abcd', 'ABC', ' abc']],
    ['a%', ['a', 'abc'], ['', 'ba']],
    ['%a', ['a', 'cba'], ['', 'ab']],
    ['%a%', ['a', 'bab'], ['', 'bcb']],
    ['a%a', ['aa', 'aba', 'abaca'], ['a', 'ab']],
    ['a_a', ['aba', 'a😀a', 'a%a'], ['aa', 'abba']],
    ['%aab%', ['aaab', 'aabaab', 'xaabx'], ['aa', 'abab']],
    ['%ab_cd%', ['abab1cdx', 'ab😀cd'], ['abcd', 'ab12cd']],
    ['a%b%c', ['abc', 'a1b2c', 'acbc'], ['acb', 'ab']],
    ['%ä_', ['äx', 'ää', 'xyä😀'], ['ä', 'xä']],
    ['%_ä', ['xä', 'ää'], ['ä']],
    ["it's", ["it's"], ['its']],
    ['a\nb%', ['a\nb', 'a\nb\n'], ['a b']],
    ['.*', ['.*'], ['', 'a', 'ab']],
  ])('%j matches %j and not %j', (pattern, matching, others) => {
    for (const text of matching) expect(matches(text, pattern), text).toBe(true)
    for (const text of others) expect(matches(text, pattern), text).toBe(false)
  })

  test('has no escape unless it is given one', () => {
    expect(matches('a\\b', 'a\\_')).toBe(true)
    expect(matches('a_', 'a\\_')).toBe(false)
    expect(matches('a_', 'a\\_', '\\')).toBe(true)
    expect(matches('ab', 'a\\_', '\\')).toBe(false)
    expect(matches('100%', '%0!%', '!')).toBe(true)
    expect(matches('100!', '%0!!', '!')).toBe(true)
    expect(matches('a%b', 'a😀%b', '😀')).toBe(true)
    // A wildcard can be the escape, and is none then.
    expect(matches('a%b', 'a%%_', '%')).toBe(true)
    expect(matches('axb', 'a%%b', '%')).toBe(false)
    expect(matches('a_', 'a__', '_')).toBe(true)
  })

  test.each([
    ['a!b', 1],
    ['!', 0],
    ['!!!', 2],
    ['%%ä!😀', 3],
    ['😀!x', 2],
  ])('%j has its escape at %i before what needs none', (pattern, index) => {
    expect(() => matches('', pattern, '!')).toThrow(`wrong at ${index}`)
  })

  test('matches what trying everything does, with few and with many states', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', 'ã', '€', '😀', '%', '_'), maxLength: 12 })
    const long = fc.integer({ min: 0, max: 40 }).map((count) => 'ab'.repeat(count))
    const pattern = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '😀', '%', '%', '_', '_'), maxLength: 8 }),
      fc.tuple(long, text, long).map((parts) => parts.join('')),
      fc.tuple(long, fc.constantFrom('%', '_', '%_', 'a%', '_b_'), long, fc.constantFrom('', '%', '_'))
        .map((parts) => parts.join('')),
    )
    const subject = fc.oneof(text, fc.tuple(long, text, long).map((parts) => parts.join('')))
    fc.assert(fc.property(subject, pattern, (subject, pattern) => {
      expect(matches(subject, pattern)).toBe(isLike(subject, pattern, undefined))
    }), { numRuns: 3_000 })
  })

  test('finds at every length what it should, around the ends of words of 32 states', () => {
    for (let length = 1; length <= 256; length++) {
      const word = Array.from({ length }, (_, index) => 'abcdefg'[index % 7]).join('')
      const others = `${word.slice(0, -1)}x`
      expect(matches(`..${word}..`, `%${word}%`)).toBe(true)
      expect(matches(`..${others}..${word}`, `%${word}_%`)).toBe(false)
      expect(matches(`.${others}${word}.`, `_%${word}_`)).toBe(true)
      expect(matches(`${others}${others}`, `%${word}%`)).toBe(false)
      expect(matches(`${word}.`, `${'_'.repeat(length)}%.`)).toBe(true)
      expect(matches(word, `${'_'.repeat(length)}%_`)).toBe(false)
      expect(matches('ä'.repeat(length), '_'.repeat(length))).toBe(true)
      expect(matches('ä'.repeat(length), '_'.repeat(length + 1))).toBe(false)
      expect(matches('ä'.repeat(length), `${'_'.repeat(length)}%ä`)).toBe(false)
    }
  })

  test('takes time linear in the text where other ways of matching do not end', () => {
    const text = textToBytes('a'.repeat(17_000))
    for (const pattern of [`${'%a'.repeat(127)}%b`, `%${'a'.repeat(250)}b%`, `%${'_'.repeat(254)}b`, `%${'a_'.repeat(100)}b%_`]) {
      const matcher = likeMatcher(likePartsOf(pattern, undefined, () => new Error('no escape')))
      for (let count = 0; count < 25; count++) expect(matcher(text, 0, text.length)).toBe(false)
    }
  })
})

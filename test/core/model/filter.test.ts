// Tag filters: what they let through, how they are written, what is wrong with them and where.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fixedLimits } from '../../../core/limits.ts'
import { noTagHash, parseTagFilter, tagHashOf } from '../../../core/model/filter.ts'
import { checkTag } from '../../../core/model/names.ts'

function isTag(text: string): boolean {
  try {
    checkTag(text)
    return text !== '*'
  } catch {
    return false
  }
}

const anyTag = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 9 }),
).filter(isTag)
const blanks = fc.string({ unit: fc.constantFrom(' ', '\t', '\n'), maxLength: 3 })

describe('a tag filter', () => {
  test.each(['', '*', ' * ', '\t\n'])('%j lets every message through, with or without a tag', (expression) => {
    const filter = parseTagFilter(expression)
    expect(filter).toMatchObject({ expression: '*', tags: undefined })
    expect(filter.accepts(noTagHash)).toBe(true)
    expect(filter.accepts(tagHashOf('paid'))).toBe(true)
  })

  test('lets through the tags it names and no others', () => {
    const filter = parseTagFilter('paid || shipped')
    expect(['paid', 'shipped', 'paid ', 'Paid', 'open'].map((tag) => filter.accepts(tagHashOf(tag)))).toEqual(
      [true, true, false, false, false],
    )
    expect(filter.accepts(noTagHash)).toBe(false)
    expect(parseTagFilter('paid').accepts(tagHashOf('paid'))).toBe(true)
    expect(parseTagFilter('paid').accepts(noTagHash)).toBe(false)
  })

  test('means the same in any order, with repeats and with blanks, and is written the same then', () => {
    fc.assert(fc.property(fc.array(fc.tuple(anyTag, blanks, blanks), { minLength: 1, maxLength: 10 }), (parts) => {
      const tags = parts.map(([tag]) => tag)
      const filter = parseTagFilter(parts.map(([tag, before, after]) => before + tag + after).join('||'))
      expect(filter.tags).toEqual(new Set(tags))
      expect(filter.expression).toBe([...new Set(tags)].sort().join(' || '))
      expect(parseTagFilter(filter.expression).expression).toBe(filter.expression)
      for (const tag of tags) expect(filter.accepts(tagHashOf(tag))).toBe(true)
    }))
  })

  test('can name every tag that a message can have', () => {
    // Blanks that are no U+0020 belong to the tag.
    for (const tag of ['\u00a0a', 'a\u2003', '\ufeff', 'ü', '😀', 'a b']) {
      expect(parseTagFilter(` ${tag} `).tags).toEqual(new Set([tag]))
    }
  })

  test.each([
    ['a ||', /^column 5: a tag is missing/],
    ['|| a', /^column 1: a tag is missing/],
    ['a || || b', /^column \d+: a tag is missing/],
    ['a || *', /^column 6: '\*' stands alone/],
    ['a | b', /^column 1: .*contains '\|'/],
    ['a ||  b|c', /^column 7: .*contains '\|'/],
    ['a || b\u0001', /^column 6: .*control characters/],
    ['\ud800', /^column 1: .*half a character/],
    [`ok || ${'x'.repeat(fixedLimits.tagBytesMax + 1)}`, /^column 7: .*at most 128/],
  ])('%j is refused, with the column of what is wrong', (expression, message) => {
    expect(() => parseTagFilter(expression)).toThrow(expect.objectContaining({ code: 'BAD_FILTER' }))
    expect(() => parseTagFilter(expression)).toThrow(message)
  })

  test('has as many tags as its bound, and no more', () => {
    const tags = Array.from({ length: fixedLimits.filterTagCountMax }, (_, index) => `t${index}`)
    expect(parseTagFilter(tags.join('||')).tags?.size).toBe(fixedLimits.filterTagCountMax)
    expect(() => parseTagFilter([...tags, 'one-more'].join('||'))).toThrow(/65 tags/)
    expect(parseTagFilter([...tags, 't0'].join('||')).tags?.size).toBe(fixedLimits.filterTagCountMax)
  })

  test('has as many bytes as its bound, and no more, in its normal form too', () => {
    const wide = Array.from({ length: 8 }, (_, index) => `${index}`.padEnd(124, 'x'))
    const padded = (size: number) => wide.join(' || ').padEnd(size)
    expect(wide.join(' || ')).toHaveLength(1020)
    expect(parseTagFilter(padded(fixedLimits.filterBytesMax)).tags?.size).toBe(8)
    expect(() => parseTagFilter(padded(fixedLimits.filterBytesMax + 1))).toThrow(/over 1024 bytes/)
    expect(() => parseTagFilter('ü'.repeat(fixedLimits.filterBytesMax / 2 + 1))).toThrow(/over 1024 bytes/)
    // Fits as written, and not in its normal form.
    const tight = Array.from({ length: 63 }, (_, index) => `tag-tag-tag${index}`.slice(0, 13)).join('||')
    expect(tight.length).toBeLessThan(fixedLimits.filterBytesMax)
    expect(() => parseTagFilter(tight)).toThrow(/over 1024 bytes/)
  })
})

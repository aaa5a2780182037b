// SQL92 filters against the plain reference: any filter, any message, however it is written; and any text at all.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { parseFilter } from '../../../core/filter/message-filter.ts'
import { parseSql } from '../../../core/filter/sql-parser.ts'
import { formatSql, type SqlNode } from '../../../core/filter/sql-tree.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { recordOf } from '../client/records.ts'
import { referenceTruth, someHeaders, someTree, valuesOf, writeFreely } from './reference.ts'

const someChoices = fc.array(fc.nat(1_000), { minLength: 20, maxLength: 60 })

/** Some trees are larger than a filter may be. */
function fits(tree: SqlNode, text: string): boolean {
  const countNodes = (node: SqlNode): number => {
    switch (node.kind) {
      case 'or':
      case 'and':
        return node.terms.reduce((sum, term) => sum + countNodes(term), 1)
      case 'not':
        return 1 + countNodes(node.term)
      case 'compare':
        return 1 + countNodes(node.left) + countNodes(node.right)
      case 'between':
        return 1 + countNodes(node.value) + countNodes(node.low) + countNodes(node.high)
      case 'null-test':
      case 'minus':
        return 1 + countNodes(node.value)
      case 'in':
      case 'match':
        return 2
      default:
        return 1
    }
  }
  // It must still fit with NOT before it.
  const bytesMax = fixedLimits.filterBytesMax - 16
  return countNodes(tree) < fixedLimits.filterNodeCountMax &&
    Buffer.byteLength(text) <= bytesMax && Buffer.byteLength(formatSql(tree)) <= bytesMax
}

describe('any SQL92 filter', () => {
  test('lets the messages pass that the reference does, however it is written', () => {
    let decided = { passed: 0, refused: 0, unknown: 0 }
    const messages = fc.array(someHeaders, { minLength: 1, maxLength: 6 })
    fc.assert(fc.property(someTree, messages, someChoices, (tree, headers, choices) => {
      const text = writeFreely(tree, choices)
      fc.pre(fits(tree, text))
      const filter = parseFilter('SQL92', text)
      const again = parseFilter('SQL92', filter.expression)
      const plain = parseFilter('SQL92', formatSql(tree))
      const negated = parseFilter('SQL92', `NOT (${text}\n)`)
      const record = RecordBatch.open(recordOf(headers.map(() => 'x'), { headers }))
      headers.forEach((own, index) => {
        const expected = referenceTruth(tree, valuesOf(own))
        const found = [filter, again, plain, negated].map((filter) => filter.accepts(record, index))
        expect(found).toEqual([expected === true, expected === true, expected === true, expected === false])
        const kind = expected === null ? 'unknown' : expected ? 'passed' : 'refused'
        decided = { ...decided, [kind]: decided[kind] + 1 }
        if (filter.passesAll) expect(expected).toBe(true)
      })
    }), { numRuns: 2_000 })
    // Filters and messages that have nothing to do with each other would show nothing.
    expect(Math.min(decided.passed, decided.refused, decided.unknown)).toBeGreaterThan(500)
  })

  test('has one normal form, which is read as the same tree', () => {
    fc.assert(fc.property(someTree, someChoices, someChoices, (tree, choices, others) => {
      const [text, other] = [writeFreely(tree, choices), writeFreely(tree, others)]
      fc.pre(fits(tree, text) && fits(tree, other))
      const parsed = parseSql(text)
      expect(parseSql(other)).toEqual(parsed)
      expect(parseSql(formatSql(tree))).toEqual(parsed)
      expect(parseSql(parsed.normalForm)).toEqual(parsed)
    }), { numRuns: 2_000 })
  })
})

describe('any text', () => {
  /** Anything but BAD_FILTER at one of its columns is thrown on. */
  function isFilter(text: string): boolean {
    try {
      parseFilter('SQL92', text)
      return true
    } catch (error) {
      if (!(error instanceof PocketError) || error.code !== 'BAD_FILTER') throw error
      expect(error.message).toMatch(/^(column \d+: .|the filter is over 1024 bytes)/)
      const column = Number(/^column (\d+)/.exec(error.message)?.[1] ?? 1)
      expect(column).toBeGreaterThanOrEqual(1)
      expect(column).toBeLessThanOrEqual(text.length + 1)
      return false
    }
  }

  /** Whether it is a filter; if so, it can be asked and has a normal form. */
  function check(text: string): boolean {
    const record = RecordBatch.view(recordOf(['x'], { headers: [{ tag: 't', properties: new Map([['a', '1'], ['b', 'x']]) }] }))
    if (!isFilter(text)) return false
    const filter = parseFilter('SQL92', text)
    expect(filter.expression.length).toBeLessThanOrEqual(fixedLimits.filterBytesMax)
    expect(parseFilter('SQL92', filter.expression).expression).toBe(filter.expression)
    expect(typeof filter.accepts(record, 0)).toBe('boolean')
    return true
  }

  test('is a filter or BAD_FILTER at one of its columns', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), (text) => {
      check(text)
    }), { numRuns: 2_000 })
  })

  test('made of the words of the language is a filter or BAD_FILTER', () => {
    const words = [
      'a', 'b', 'TAGS', '1', '2.5', '-1', '9007199254740993', "'x'", "'%_'", "''", "'",
      '(', ')', '(', ')', ',', '=', '<>', '<', '>=', '+', '-', '--', '/*', '*/', 'AND', 'OR', 'NOT', 'IS', 'NULL', 'TRUE',
      'FALSE', 'BETWEEN', 'IN', 'LIKE', 'ESCAPE', 'CONTAINS',
      'a = 1', "b IN ('x', 2)", 'a IS NULL', 'a BETWEEN 1 AND 2', "b LIKE 'x%'",
    ]
    let filterCount = 0
    const sentence = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 12 })
    fc.assert(fc.property(sentence, fc.constantFrom(' ', ' ', ' ', ''), (sentence, blank) => {
      if (check(sentence.join(blank))) filterCount++
    }), { numRuns: 10_000 })
    expect(filterCount).toBeGreaterThan(100)
  })

  test('a little different from a filter is a filter or BAD_FILTER', () => {
    const change = fc.tuple(fc.nat(400), fc.nat(3), fc.string({ maxLength: 2 }))
    fc.assert(fc.property(someTree, someChoices, fc.array(change, { minLength: 1, maxLength: 3 }), (tree, choices, changes) => {
      let text = writeFreely(tree, choices)
      for (const [at, count, replacement] of changes) {
        const start = at % (text.length + 1)
        text = text.slice(0, start) + replacement + text.slice(start + count)
      }
      check(text)
    }), { numRuns: 2_000 })
  })

  test('is answered soon, also where it is as large as may be', () => {
    // Each is read so often that what took time by the square of its size, or worse, would not be done by the deadline.
    const size = fixedLimits.filterBytesMax
    const texts = [
      '('.repeat(size), "'".repeat(size), "'".repeat(size - 1), '-'.repeat(size), '- '.repeat(size / 2), '/*'.repeat(size / 2),
      '1'.repeat(size), '.'.repeat(size), 'a '.repeat(size / 2), '_'.repeat(size), 'NOT '.repeat(size / 4),
      '('.repeat(16) + 'a OR '.repeat(200), `a IN (${'1,'.repeat(500)}`, `a LIKE '${'%'.repeat(900)}'`,
      `a LIKE '${'!'.repeat(255)}' ESCAPE '!'`, '\t'.repeat(size), '=<>'.repeat(300),
    ]
    for (const text of texts) {
      for (let count = 0; count < 100; count++) expect(isFilter(text)).toBe(false)
    }
    const terms = Array.from({ length: 20 }, (_, index) => `a LIKE '%${'_'.repeat(25)}${index % 10}%'`)
    const filter = parseFilter('SQL92', terms.join(' OR '))
    const record = RecordBatch.view(recordOf(['x'], { headers: [{ properties: new Map([['a', 'a'.repeat(16_000)]]) }] }))
    for (let count = 0; count < 50; count++) expect(filter.accepts(record, 0)).toBe(false)
  })
})

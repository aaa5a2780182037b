// The language of SQL92 filters: what is written how in normal form, and what is refused at which column.

import { describe, expect, test } from 'vitest'
import { parseSql } from '../../../core/filter/sql-parser.ts'
import { fixedLimits } from '../../../core/limits.ts'

const { filterBytesMax, filterNodeCountMax, filterDepthMax, filterMemberCountMax, filterPatternBytesMax } = fixedLimits

/** The column and the rest of what is said of a filter that is refused. */
function refusal(expression: string): [column: number, what: string] {
  try {
    parseSql(expression)
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_FILTER' })
    const parts = /^column (\d+): (.*)$/s.exec((error as Error).message)
    return parts === null ? [0, (error as Error).message] : [Number(parts[1]), parts[2] as string]
  }
  throw new Error(`'${expression}' was not refused`)
}

describe('an SQL92 filter', () => {
  test.each([
    // Comparisons.
    ['a=1', 'a = 1'],
    ["a  <>\t'x'", "a <> 'x'"],
    ['a<b', 'a < b'],
    ['3<=b', '3 <= b'],
    ['a>=-1', 'a >= -1'],
    ['a>+1', 'a > 1'],
    ['a = b', 'a = b'],
    ['a = TRUE', 'a = TRUE'],
    ['false <> a', 'FALSE <> a'],
    ["'x' = 'y'", "'x' = 'y'"],
    ["3 = '3'", "3 = '3'"],
    ['(a > 1) = (b > 2)', '(a > 1) = (b > 2)'],
    ['(a > 1) <> TRUE', '(a > 1) <> TRUE'],
    // Conditions and how tightly they hold.
    ['a', 'a'],
    ['null', 'NULL'],
    ['not a', 'NOT a'],
    ['NOT NOT a', 'NOT NOT a'],
    ['NOT a = 1', 'NOT a = 1'],
    ['NOT (a = 1)', 'NOT a = 1'],
    ['(NOT a) = TRUE', '(NOT a) = TRUE'],
    ['a OR b AND NOT c', 'a OR b AND NOT c'],
    ['(a OR b) AND c', '(a OR b) AND c'],
    ['(a AND b) OR c', 'a AND b OR c'],
    ['a OR (b OR (c OR d))', 'a OR b OR c OR d'],
    ['((a AND b) AND c) AND d', 'a AND b AND c AND d'],
    ['NOT (a AND b)', 'NOT (a AND b)'],
    ['((((a))))=((1))', 'a = 1'],
    // The other predicates, with and without NOT.
    ['a is null', 'a IS NULL'],
    ['a Is Not Null', 'a IS NOT NULL'],
    ['(a = 1) IS NULL', '(a = 1) IS NULL'],
    ['NULL IS NULL', 'NULL IS NULL'],
    ['a between 1 and 2', 'a BETWEEN 1 AND 2'],
    ['a BETWEEN 1 AND 1', 'a BETWEEN 1 AND 1'],
    ['a not between b and -c', 'a NOT BETWEEN b AND -c'],
    ['a NOT BETWEEN 2 AND 1', 'a NOT BETWEEN 2 AND 1'],
    ['5 BETWEEN a AND b AND c', '5 BETWEEN a AND b AND c'],
    ["a in ('x')", "a IN ('x')"],
    ["a NOT IN ('b', 'a', 2, -1.5, 'a', +2.0)", "a NOT IN (-1.5, 2, 'a', 'b')"],
    ['a IN (9007199254740993, 1, 1e20)', 'a IN (1, 9007199254740993, 1e+20)'],
    ["a contains 'x'", "a CONTAINS 'x'"],
    ["a not startswith 'x'", "a NOT STARTSWITH 'x'"],
    ["a EndsWith 'x'", "a ENDSWITH 'x'"],
    ["a like ''", "a LIKE ''"],
    ["a NOT LIKE '10!%%' escape '!'", "a NOT LIKE '10!%%' ESCAPE '!'"],
    // Literals.
    ["a = ''", "a = ''"],
    ["a = 'it''s'", "a = 'it''s'"],
    ["a = ''''''", "a = ''''''"],
    ["a = ' -- /* \n'", "a = ' -- /* \n'"],
    ["a = 'größe 😀'", "a = 'größe 😀'"],
    ['a = 007', 'a = 7'],
    ['a = 5L', 'a = 5'],
    ['a = 5l', 'a = 5'],
    ['a = 5.', 'a = 5'],
    ['a = .5', 'a = 0.5'],
    ['a = 5.50E1', 'a = 55'],
    ['a = 5e-1', 'a = 0.5'],
    ['a = 1E+3', 'a = 1000'],
    ['a = 0.0', 'a = 0'],
    ['a = -0', 'a = 0'],
    ['a = -0.0', 'a = 0'],
    ['a = 1e-999', 'a = 0'],
    ['a = 9007199254740993', 'a = 9007199254740993'],
    ['a = 9007199254740992.0', 'a = 9007199254740992'],
    ['a = 9223372036854775807', 'a = 9223372036854775807'],
    ['a = -9223372036854775807L', 'a = -9223372036854775807'],
    ['a = 1e20', 'a = 1e+20'],
    ['a = 1.5e300', 'a = 1.5e+300'],
    ['a > -(-5)', 'a > 5'],
    ['a > - -5', 'a > 5'],
    ['-a > 1', '-a > 1'],
    ['- - a > 1', '- -a > 1'],
    ['+a > 1', 'a > 1'],
    ['-(+(-(a))) > 1', '- -a > 1'],
    // Names are as they are written, and keywords are not.
    ['TAGS = KEYS', 'TAGS = KEYS'],
    ['$_a9 = _ AND A <> a', '$_a9 = _ AND A <> a'],
    ['nothing = android', 'nothing = android'],
    // Blanks and comments.
    ['\r\n\ta\v=\f1 ', 'a = 1'],
    ['a = 1 -- the rest', 'a = 1'],
    ['a -- one\r= -- two\n1', 'a = 1'],
    ['/**/a/* b */=/* * / -- */1/***/', 'a = 1'],
    ['a=1/*x*/or/*x*/b=2', 'a = 1 OR b = 2'],
  ])('%j is %j', (expression, normalForm) => {
    const { tree, normalForm: found } = parseSql(expression)
    expect(found).toBe(normalForm)
    expect(parseSql(found)).toEqual({ tree, normalForm })
  })

  test.each<[string, number, string | RegExp]>([
    // What is no token.
    ['a = "x"', 5, 'a text stands in single quotes, a name in none'],
    ['a != 1', 3, "'!=' is written '<>' here"],
    ['a ; b', 3, '";" begins neither a name nor a value nor an operator'],
    ['a = 1 😀', 7, /^"😀" begins neither/],
    ['größe = 1', 3, /^"ö" begins neither/],
    ['a = \u0000', 5, /^"\\u0000" begins neither/],
    ["a = 'x", 5, 'the text has no closing quote'],
    ["a = 'it''s", 5, 'the text has no closing quote'],
    ["a = 'x''''", 5, 'the text has no closing quote'],
    ['a /* = 1', 3, "the comment has no closing '*/'"],
    ['a /*/ = 1', 3, "the comment has no closing '*/'"],
    ["a = '\ud800'", 6, 'half a character (a lone surrogate)'],
    ['a -- \udc00', 6, 'half a character (a lone surrogate)'],
    ['a = 1b', 6, "'b' right behind a number"],
    ['a = 1.5L', 8, "'L' right behind a number"],
    ['a = 1LL', 7, "'L' right behind a number"],
    ['a = 1.2.3', 8, "'.' right behind a number"],
    ['a = 5e', 6, "'e' right behind a number"],
    ['a = 1or b', 6, "'o' right behind a number"],
    ['a = .', 5, /^"\." begins neither/],
    ['a = 9223372036854775808', 5, 'a whole number has over 64 bits'],
    ['a = 100000000000000000000', 5, 'a whole number has over 64 bits'],
    ['a = 1e999', 5, 'a number is too long or too large'],
    [`a = 1.${'0'.repeat(63)}`, 5, 'a number is too long or too large'],
    // What is missing.
    ['', 1, 'expected a property or a value, found the end'],
    [' \n ', 4, 'expected a property or a value, found the end'],
    ['-- nothing', 11, 'expected a property or a value, found the end'],
    ['()', 2, "expected a property or a value, found ')'"],
    ['a =', 4, 'expected a property or a value, found the end'],
    ['a = = 1', 5, "expected a property or a value, found '='"],
    ['a == 1', 4, "expected a property or a value, found '='"],
    ['= 1', 1, "expected a property or a value, found '='"],
    ['a = 1 AND', 10, 'expected a property or a value, found the end'],
    ['a = 1 AND AND b', 11, "expected a property or a value, found 'AND'"],
    ['OR a', 1, "expected a property or a value, found 'OR'"],
    ['NOT', 4, 'expected a property or a value, found the end'],
    ['a = NOT b', 5, "expected a property or a value, found 'NOT'"],
    ['a between and 1', 11, "expected a property or a value, found 'AND'"],
    ['(a = 1', 7, "expected AND, OR or ')', found the end"],
    ['(a = 1 b', 8, "expected AND, OR or ')', found 'b'"],
    ['a = 1)', 6, "expected AND, OR or the end, found ')'"],
    ['a b', 3, "expected AND, OR or the end, found 'b'"],
    [`a ${'b'.repeat(40)}`, 3, `expected AND, OR or the end, found '${'b'.repeat(32)}…'`],
    ["a 'x'", 3, 'expected AND, OR or the end, found a text'],
    ['a = 1 = 2', 7, "expected AND, OR or the end, found '='"],
    ['1 < a < 5', 7, "expected AND, OR or the end, found '<'"],
    ['a IS 1', 6, "expected NULL or NOT NULL, found '1'"],
    ['a IS NOT 1', 10, "expected NULL, found '1'"],
    ['a NOT = 1', 7, "expected BETWEEN, IN, LIKE, CONTAINS, STARTSWITH or ENDSWITH, found '='"],
    ['a NOT NULL', 7, "expected BETWEEN, IN, LIKE, CONTAINS, STARTSWITH or ENDSWITH, found 'NULL'"],
    ['a BETWEEN 1', 12, "expected AND and BETWEEN's upper bound, found the end"],
    ['a BETWEEN 1 OR 2', 13, "expected AND and BETWEEN's upper bound, found 'OR'"],
    ['a IN', 5, "expected '(', found the end"],
    ["a IN 'x'", 6, "expected '(', found a text"],
    ['a IN ()', 7, "expected a text or a number, found ')'"],
    ["a IN ('x',)", 11, "expected a text or a number, found ')'"],
    ["a IN ('x' 'y')", 11, "expected ',' or ')', found a text"],
    ["a IN ('x'", 10, "expected ',' or ')', found the end"],
    ['a IN (b)', 7, "expected a text or a number, found 'b'"],
    ['a IN (NULL)', 7, "expected a text or a number, found 'NULL'"],
    ['a IN (TRUE)', 7, "expected a text or a number, found 'TRUE'"],
    ["a IN (-'x')", 8, 'expected a number, found a text'],
    ['a IN (- -1)', 9, "expected a number, found '-'"],
    ['a LIKE b', 8, "expected a text, found 'b'"],
    ['a CONTAINS 5', 12, "expected a text, found '5'"],
    ["a LIKE 'x' ESCAPE", 18, 'expected a text of one character, found the end'],
    ["a CONTAINS 'x' ESCAPE '!'", 16, "expected AND, OR or the end, found 'ESCAPE'"],
    // What does not fit.
    ['1', 1, 'expected a condition, found a number that is compared with nothing'],
    ["'x'", 1, 'expected a condition, found a text that is compared with nothing'],
    ['-a', 1, 'expected a condition, found a number that is compared with nothing'],
    ['a = 1 AND 5', 11, 'expected a condition, found a number that is compared with nothing'],
    ["'x' OR a", 1, 'expected a condition, found a text that is compared with nothing'],
    ['a AND (NOT (5))', 12, 'expected a condition, found a number that is compared with nothing'],
    ['a = NULL', 5, 'NULL equals nothing; write IS NULL or IS NOT NULL'],
    ['NULL <> a', 1, 'NULL equals nothing; write IS NULL or IS NOT NULL'],
    ['1 = TRUE', 5, 'a number and a condition are never equal'],
    ["(a > 1) = 'x'", 11, 'a condition and a text are never equal'],
    ['-a <> FALSE', 7, 'a number and a condition are never equal'],
    ["a > 'x'", 5, 'expected a number or a property, found a text; only numbers have an order'],
    ["'5' < a", 1, 'expected a number or a property, found a text; only numbers have an order'],
    ['a >= TRUE', 6, 'expected a number or a property, found a condition; only numbers have an order'],
    ['a <= NULL', 6, 'expected a number or a property, found NULL; only numbers have an order'],
    ['(a = 1) > 2', 1, 'expected a number or a property, found a condition; only numbers have an order'],
    ["a BETWEEN 'x' AND 'y'", 11, 'expected a number or a property, found a text; only numbers have an order'],
    ['a BETWEEN 1 AND NULL', 17, 'expected a number or a property, found NULL; only numbers have an order'],
    ["'x' BETWEEN 1 AND 2", 1, 'expected a number or a property, found a text; only numbers have an order'],
    ['a BETWEEN 10 AND 0', 11, 'BETWEEN 10 AND 0: the lower bound is higher'],
    ['5 IN (5)', 1, 'expected a property before IN, found a number'],
    ["'x' LIKE 'x'", 1, 'expected a property before LIKE, found a text'],
    ["-a CONTAINS 'x'", 1, 'expected a property before CONTAINS, found a number'],
    ["(a = 1) STARTSWITH 'x'", 1, 'expected a property before STARTSWITH, found a condition'],
    ["a > -'x'", 6, "expected a number or a property behind '-', found a text"],
    ['a = +TRUE', 6, "expected a number or a property behind '+', found a condition"],
    ['-(a = 1) = 1', 2, "expected a number or a property behind '-', found a condition"],
    ["a CONTAINS ''", 12, 'an empty text behind CONTAINS'],
    ["a NOT ENDSWITH ''", 16, 'an empty text behind ENDSWITH'],
    ["a LIKE 'x' ESCAPE ''", 19, 'ESCAPE needs a text of one character'],
    ["a LIKE 'x' ESCAPE '!!'", 19, 'ESCAPE needs a text of one character'],
    ["a LIKE 'x!y' ESCAPE '!'", 10, "ESCAPE's character stands before neither '%' nor '_' nor itself"],
    ["a LIKE 'x!' ESCAPE '!'", 10, "ESCAPE's character stands before neither '%' nor '_' nor itself"],
    ["a LIKE '''''x!y' ESCAPE '!'", 14, "ESCAPE's character stands before neither '%' nor '_' nor itself"],
  ])('%j is refused at column %i: %s', (expression, column, what) => {
    const [foundColumn, found] = refusal(expression)
    if (typeof what === 'string') expect(found).toBe(what)
    else expect(found).toMatch(what)
    expect(foundColumn).toBe(column)
  })

  test('takes no keyword for a name', () => {
    const keywords = [
      'and', 'or', 'not', 'is', 'null', 'true', 'false', 'between', 'in', 'like', 'escape', 'contains', 'startswith', 'endswith',
    ]
    for (const keyword of keywords) {
      expect(() => parseSql(`a = 1 AND ${keyword} > 1`), keyword).toThrow(/^column 1[15]: expected /)
      expect(parseSql(`a = 1 AND ${keyword}_ > 1`).normalForm).toBe(`a = 1 AND ${keyword}_ > 1`)
    }
  })
})

describe('an SQL92 filter has bounds, which it may reach and not pass:', () => {
  test('bytes, as given', () => {
    const padded = (size: number): string => 'a = 1'.padEnd(size)
    expect(parseSql(padded(filterBytesMax)).normalForm).toBe('a = 1')
    expect(refusal(padded(filterBytesMax + 1))).toEqual([0, 'the filter is over 1024 bytes'])
    expect(refusal(padded(10_000_000))).toEqual([0, 'the filter is over 1024 bytes'])
    const wide = `a = 1 --${'ü'.repeat(508)}`
    expect(parseSql(wide).normalForm).toBe('a = 1')
    expect(refusal(`${wide}.`)).toEqual([0, 'the filter is over 1024 bytes'])
  })

  test('bytes, in normal form', () => {
    // Each comparison gains two blanks.
    const tight = (size: number): string => {
      const text = "a='x'AND b='x'AND c='x'AND d='x'AND e='"
      return `${text}${'y'.repeat(size - text.length - 1)}'`
    }
    const grown = parseSql(tight(1_000)).normalForm.length - 1_000
    expect(grown).toBeGreaterThan(10)
    expect(parseSql(tight(filterBytesMax - grown)).normalForm).toHaveLength(filterBytesMax)
    expect(refusal(tight(filterBytesMax - grown + 1))).toEqual([0, 'the filter is over 1024 bytes in its normal form'])
  })

  test('nodes', () => {
    // Three to a comparison, and one for them all.
    const terms = (count: number): string[] => Array.from({ length: count }, (_, index) => `a=${index}`)
    expect(3 * 21 + 1).toBe(filterNodeCountMax)
    expect(parseSql(terms(21).join(' OR ')).normalForm).toMatch(/a = 20$/)
    expect(parseSql(Array.from({ length: 63 }, () => 'a').join(' OR ')).normalForm).toHaveLength(63 + 62 * 4)
    const parts = 'the filter has over 64 parts (properties, values, operators)'
    expect(refusal(Array.from({ length: 64 }, () => 'a').join(' OR '))).toEqual([3, parts])
    expect(refusal([...terms(21), 'b IS NULL'].join(' OR '))).toEqual([terms(21).join(' OR ').length + 5 + 2, parts])
    expect(refusal(Array.from({ length: 170 }, () => 'a').join(' OR '))).toEqual([64 * 5 + 1, parts])
    expect(refusal([...terms(20), 'b = 1 AND NOT (c = 2) AND d'].join(' OR '))).toEqual([expect.any(Number), parts])
  })

  test('depth', () => {
    const deep = 'parentheses, NOT and signs are nested over 16 deep'
    const nested = (open: string, close: string, count: number): string => `${open.repeat(count)}a${close.repeat(count)}`
    expect(parseSql(nested('(', ')', filterDepthMax)).normalForm).toBe('a')
    expect(parseSql(nested('NOT ', '', filterDepthMax)).normalForm).toBe(nested('NOT ', '', filterDepthMax))
    expect(parseSql(`1 > ${nested('- ', '', filterDepthMax)}`).normalForm).toBe(`1 > ${'- '.repeat(15)}-a`)
    expect(refusal(nested('(', ')', filterDepthMax + 1))).toEqual([17, deep])
    expect(refusal(nested('NOT ', '', filterDepthMax + 1))).toEqual([65, deep])
    expect(refusal(`1 > ${nested('+ ', '', filterDepthMax + 1)}`)).toEqual([37, deep])
    expect(refusal(nested('NOT (', ')', filterDepthMax / 2 + 1))).toEqual([41, deep])
    expect(refusal('('.repeat(filterBytesMax))).toEqual([17, deep])
    // Side by side is not within.
    for (const term of ['((a))', 'NOT a', '+1 < -2', '+a <> (1)']) {
      expect(parseSql(Array.from({ length: 18 }, () => term).join(' AND ')).tree, term).toMatchObject({ kind: 'and' })
    }
  })

  test('members of IN', () => {
    const list = (count: number): string => `a IN (${Array.from({ length: count }, (_, index) => index).join(',')})`
    expect(parseSql(list(filterMemberCountMax)).tree).toMatchObject({ members: { length: filterMemberCountMax } })
    const column = list(filterMemberCountMax).length + 1
    expect(refusal(list(filterMemberCountMax + 1))).toEqual([column, 'over 64 members of IN; no more are allowed'])
    expect(refusal(list(250))).toEqual([column, 'over 64 members of IN; no more are allowed'])
  })

  test('the text of a pattern', () => {
    for (const operator of ['LIKE', 'CONTAINS', 'STARTSWITH', 'ENDSWITH']) {
      const match = (size: number): string => `a ${operator} '${'x'.repeat(size)}'`
      const wide = `a NOT ${operator} '${'ü'.repeat(filterPatternBytesMax / 2)}`
      expect(parseSql(match(filterPatternBytesMax)).normalForm).toBe(match(filterPatternBytesMax))
      expect(parseSql(`${wide}'`).normalForm).toBe(`${wide}'`)
      const what = (size: number): string => `a text of ${size} bytes behind ${operator}; at most 256 are allowed`
      expect(refusal(match(filterPatternBytesMax + 1))).toEqual([operator.length + 4, what(257)])
      expect(refusal(match(1_000))).toEqual([operator.length + 4, what(1_000)])
      expect(refusal(`${wide}ü'`)).toEqual([operator.length + 8, what(258)])
    }
  })

  test('a name', () => {
    const name = 'n'.repeat(fixedLimits.keyBytesMax)
    expect(parseSql(`1 = ${name}`).normalForm).toBe(`1 = ${name}`)
    expect(refusal(`1 = ${name}n`)).toEqual([5, 'a name of 256 characters; at most 255 are allowed'])
    expect(refusal(`1 = ${name.repeat(3)}`)).toEqual([5, 'a name of 765 characters; at most 255 are allowed'])
  })

  test('a number', () => {
    const number = `1.${'0'.repeat(61)}1`
    expect(number).toHaveLength(64)
    expect(parseSql(`a = ${number}`).normalForm).toBe('a = 1')
    expect(refusal(`a = ${number}0`)).toEqual([5, 'a number is too long or too large'])
    expect(refusal(`a = ${'0'.repeat(1_000)}`)).toEqual([5, 'a whole number has over 64 bits'])
  })
})

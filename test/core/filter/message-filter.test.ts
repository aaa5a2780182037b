// Which messages pass a filter: comparisons, unknown values, patterns, the parts of a message, and messages that are
// none. The language itself is sql-parser.test.ts's.

import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../core/bytes.ts'
import { everyMessage, parseFilter } from '../../../core/filter/message-filter.ts'
import { deadLetterProperties, type MessageHeaders } from '../../../core/model/message.ts'
import { encodeMessage } from '../../../core/record/message-codec.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { recordOf } from '../client/records.ts'

type Properties = Readonly<Record<string, string>>

function recordWith(headers: readonly Partial<MessageHeaders>[]): RecordBatch {
  return RecordBatch.open(recordOf(headers.map((_, index) => `body ${index}`), { headers }))
}

function recordOfProperties(properties: readonly Properties[]): RecordBatch {
  return recordWith(properties.map((own) => ({ properties: new Map(Object.entries(own)) })))
}

/** Whether a message with these properties passes. */
function passes(expression: string, properties: Properties = {}): boolean {
  return parseFilter('SQL92', expression).accepts(recordOfProperties([properties]), 0)
}

/** What a condition says of a message, by three filters of which exactly one passes. */
function truth(expression: string, properties: Properties = {}): 'TRUE' | 'FALSE' | 'NULL' {
  const record = recordOfProperties([properties])
  // A property alone is NULL where it is not there, the condition it makes also where it holds no truth value.
  const found = [['TRUE', `(${expression})`], ['FALSE', `NOT (${expression})`], ['NULL', `((${expression}) AND TRUE) IS NULL`]]
    .filter(([, filter]) => parseFilter('SQL92', filter as string).accepts(record, 0))
  expect(found).toHaveLength(1)
  return (found[0] as string[])[0] as 'TRUE' | 'FALSE' | 'NULL'
}

describe('a tag filter', () => {
  const record = recordWith([{ tag: 'paid' }, { tag: 'open' }, {}])
  const accepted = (expression: string): boolean[] => {
    const filter = parseFilter('TAG', expression)
    return [0, 1, 2].map((index) => filter.accepts(record, index))
  }

  test('lets the tags pass that it names, by the hashes in the record', () => {
    expect(accepted('paid')).toEqual([true, false, false])
    expect(accepted('open || paid')).toEqual([true, true, false])
    expect(parseFilter('TAG', 'paid||open')).toMatchObject({ kind: 'TAG', expression: 'open || paid', passesAll: false })
    const hash = record.tagHashAt(0)
    const collision = RecordBatch.open(recordOf(['x'], { headers: [{ tag: 'other' }], tagHashes: [hash] }))
    expect(parseFilter('TAG', 'paid').accepts(collision, 0)).toBe(true)
  })

  test.each(['', '*', ' * '])('%j is the filter of every message', (expression) => {
    expect(parseFilter('TAG', expression)).toBe(everyMessage)
    expect(everyMessage).toMatchObject({ kind: 'TAG', expression: '*', passesAll: true })
    expect(accepted(expression)).toEqual([true, true, true])
  })

  test('is refused where it is none', () => {
    expect(() => parseFilter('TAG', 'a ||')).toThrow(expect.objectContaining({ code: 'BAD_FILTER' }))
  })
})

describe('an SQL92 filter', () => {
  test('says what it is, in normal form', () => {
    const filter = parseFilter('SQL92', "((region='eu'))and -- ours\nprice>1e1")
    expect(filter).toMatchObject({ kind: 'SQL92', expression: "region = 'eu' AND price > 10", passesAll: false })
  })

  test('is refused where it is none, empty or written as a tag', () => {
    for (const expression of ['', ' ', '*', 'paid || open', 'a =']) {
      expect(() => parseFilter('SQL92', expression), expression).toThrow(expect.objectContaining({ code: 'BAD_FILTER' }))
    }
  })

  test('that asks nothing of a message is decided at once', () => {
    for (const expression of ['TRUE', '1 < 2', "NOT 'a' = 'b'", 'NULL IS NULL', '3 BETWEEN 2 AND 4', "NULL OR 5 = '5.0'"]) {
      expect(parseFilter('SQL92', expression).passesAll, expression).toBe(true)
      expect(passes(expression)).toBe(true)
    }
    for (const expression of ['FALSE', 'NULL', '1 > 2', 'NOT NULL IS NULL', 'TRUE AND NULL', "5 = 'x'", "NOT 5 = 'x'"]) {
      expect(parseFilter('SQL92', expression).passesAll, expression).toBe(false)
      expect(passes(expression)).toBe(false)
    }
  })

  test('tells the messages of a record apart, and forgets each before the next', () => {
    const record = recordOfProperties([{ a: '1' }, {}, { b: '1' }, { a: '1', b: '2' }, { a: '2' }])
    const accepted = (expression: string): boolean[] => {
      const filter = parseFilter('SQL92', expression)
      return [0, 1, 2, 3, 4].map((index) => filter.accepts(record, index))
    }
    expect(accepted('a = 1')).toEqual([true, false, false, true, false])
    expect(accepted('a IS NULL')).toEqual([false, true, true, false, false])
    expect(accepted('a < b OR a = 2')).toEqual([false, false, false, true, true])
  })

  test('works the same over a part of a record', () => {
    const headers = [{ tag: 'x' }, { tag: 'y', properties: new Map([['a', '1']]) }, { tag: 'z' }]
    const record = RecordBatch.view(recordOf(['0', '1', '2'], { headers, only: [1, 2] }))
    const filter = parseFilter('SQL92', "a = 1 AND TAGS = 'y'")
    expect([0, 1].map((index) => filter.accepts(record, index))).toEqual([true, false])
  })

  test('and others do not disturb each other', () => {
    const record = recordOfProperties([{ a: '1' }, { a: '2' }])
    const filters = ['a = 1', 'a = 2', "a LIKE '_2%' OR a LIKE '%1_'"].map((expression) => parseFilter('SQL92', expression))
    const accepted = [0, 1, 0].map((index) => filters.map((filter) => filter.accepts(record, index)))
    expect(accepted).toEqual([[true, false, false], [false, true, false], [true, false, false]])
  })
})

describe('of a message a filter sees', () => {
  const headers: Partial<MessageHeaders> = {
    delayMs: 300,
    priority: 9,
    ttlMs: 86_400_000,
    tag: 'paid',
    keys: ['k1', 'key 2', 'ü3'],
    messageGroup: 'group',
    properties: new Map([['region', 'eu'], ['empty', ''], ['Region', 'us'], ['regio', '1'], ['regions', '2']]),
  }
  const accepts = (expression: string, own: Partial<MessageHeaders> = headers): boolean =>
    parseFilter('SQL92', expression).accepts(recordWith([own]), 0)

  test('the tag as TAGS', () => {
    expect(accepts("TAGS = 'paid'")).toBe(true)
    expect(accepts("TAGS = 'open'")).toBe(false)
    expect(accepts('TAGS IS NULL')).toBe(false)
    expect(accepts('TAGS IS NULL', { properties: new Map([['TAGS', 'x']]) })).toBe(true)
    expect(accepts("TAGS = 'paid'", { tag: 'paid', properties: new Map([['TAGS', 'x']]) })).toBe(true)
    expect(accepts("Tags = 'paid'")).toBe(false)
  })

  test('the keys as KEYS, joined by a blank', () => {
    expect(accepts("KEYS = 'k1 key 2 ü3'")).toBe(true)
    expect(accepts("KEYS CONTAINS 'key 2'")).toBe(true)
    expect(accepts("KEYS = 'one'", { keys: ['one'] })).toBe(true)
    expect(accepts('KEYS = 10', { keys: ['10'] })).toBe(true)
    expect(accepts('KEYS IS NULL', {})).toBe(true)
    expect(accepts('KEYS IS NULL', { properties: new Map([['KEYS', 'x']]) })).toBe(true)
    const many = Array.from({ length: 32 }, (_, index) => String(index).padStart(255, 'x'))
    expect(accepts(`KEYS STARTSWITH '${'x'.repeat(254)}' AND KEYS ENDSWITH 'x31'`, { keys: many })).toBe(true)
    // More keys after fewer and fewer after more, by the same filter.
    const filter = parseFilter('SQL92', "KEYS = 'a b' OR KEYS ENDSWITH 'x31'")
    const record = recordWith([{ keys: ['a', 'b'] }, { keys: many }, { keys: ['a', 'b'] }, { keys: ['a b'] }, { keys: ['a'] }])
    expect([0, 1, 2, 3, 4].map((index) => filter.accepts(record, index))).toEqual([true, true, true, true, false])
  })

  test('properties by their exact names', () => {
    expect(accepts("region = 'eu' AND Region = 'us' AND regio = 1 AND regions = 2")).toBe(true)
    expect(accepts('REGION IS NULL AND region_ IS NULL AND r IS NULL')).toBe(true)
    expect(accepts("empty = '' AND empty IS NOT NULL")).toBe(true)
    expect(accepts("region <> ''")).toBe(true)
  })

  test('nothing else: neither group nor body nor times', () => {
    expect(accepts('MESSAGE_GROUP IS NULL AND BODY IS NULL AND priority IS NULL AND delayMs IS NULL')).toBe(true)
  })

  test('what the broker adds to dead letters', () => {
    const properties = new Map([[deadLetterProperties.originTopic as string, 'orders'], [deadLetterProperties.attempts, '17']])
    expect(accepts("DLQ_ORIGIN_TOPIC = 'orders' AND DLQ_ATTEMPTS >= 17", { properties })).toBe(true)
  })

  test('all of it, whatever other parts the message has', () => {
    for (let parts = 0; parts < 64; parts++) {
      const own: Partial<MessageHeaders> = {
        ...((parts & 3) === 1 ? { delayMs: 40 * 86_400_000 } : (parts & 3) === 2 ? { deliverMs: 1_795_000_000_000 } : {}),
        ...((parts & 3) === 3 ? { priority: 0 } : {}),
        ...(parts & 4 ? { ttlMs: 1 } : {}),
        ...(parts & 8 ? { tag: 't' } : {}),
        ...(parts & 16 ? { keys: ['k', 'l'] } : {}),
        ...(parts & 32 ? { messageGroup: 'g' } : {}),
        bornMs: parts & 1 ? 0 : Number.MAX_SAFE_INTEGER,
        properties: new Map([['a', 'x'], ['b', 'y'.repeat(200)]]),
      }
      expect(accepts(`a = 'x' AND b ENDSWITH 'yy' AND TAGS IS ${parts & 8 ? 'NOT' : ''} NULL AND c IS NULL`, own)).toBe(true)
      expect(accepts("KEYS = 'k l'", own)).toBe((parts & 16) !== 0)
    }
  })

  test('the last of two properties of one name, as who reads the message does', () => {
    const writer = new ByteWriter()
    const headers = { bornMs: 1_000, properties: new Map([['a', '1'], ['b', '2']]) }
    encodeMessage(writer, new ByteWriter(), 0, headers, new Uint8Array(0))
    const record = RecordBatch.view(recordOf([''], { headers: [headers] }))
    const bytes = record.bytes.slice()
    bytes[bytes.lastIndexOf('b'.charCodeAt(0))] = 'a'.charCodeAt(0)
    const twice = RecordBatch.view(bytes)
    expect(twice.messageAt(0, 't', 0).properties?.get('a')).toBe('2')
    expect(parseFilter('SQL92', 'a = 2').accepts(twice, 0)).toBe(true)
    expect(parseFilter('SQL92', 'a = 1').accepts(twice, 0)).toBe(false)
  })
})

describe('comparing', () => {
  test.each<[string, Properties, 'TRUE' | 'FALSE' | 'NULL']>([
    // Texts with texts, as they are.
    ["a = 'x'", { a: 'x' }, 'TRUE'],
    ["a = 'x'", { a: 'X' }, 'FALSE'],
    ["a = 'x'", { a: 'xx' }, 'FALSE'],
    ["a = '3'", { a: '3.0' }, 'FALSE'],
    ["a <> 'x'", { a: 'y' }, 'TRUE'],
    ["'ü😀' = a", { a: 'ü😀' }, 'TRUE'],
    ['a = b', { a: 'x', b: 'x' }, 'TRUE'],
    ['a = b', { a: '3', b: '3.0' }, 'FALSE'],
    ['a <> b', { a: '3.14', b: '3.141' }, 'TRUE'],
    ['a = b', { a: '', b: '' }, 'TRUE'],
    ['a = a', { a: 'x' }, 'TRUE'],
    // Texts with numbers, as numbers.
    ['a = 3', { a: '3' }, 'TRUE'],
    ['a = 3', { a: '3.0' }, 'TRUE'],
    ['3 = a', { a: '+3' }, 'TRUE'],
    ['a = 3', { a: '0003' }, 'TRUE'],
    ['a = 0', { a: '-0' }, 'TRUE'],
    ['a = -3', { a: '-3' }, 'TRUE'],
    ['a = 0.1', { a: '.1' }, 'TRUE'],
    ['a = 1000', { a: '1E3' }, 'TRUE'],
    ['a <> 3', { a: '4' }, 'TRUE'],
    ["3 = '3.0'", {}, 'TRUE'],
    ['a = 3', { a: 'x' }, 'NULL'],
    ['a = 3', { a: '' }, 'NULL'],
    ['a = 3', { a: ' 3' }, 'NULL'],
    ['a = 3', { a: '3L' }, 'NULL'],
    ['a = 3', { a: '0x3' }, 'NULL'],
    ['a = 3', { a: '+' }, 'NULL'],
    ['a = 3', { a: '-.' }, 'NULL'],
    ['a = 3', { a: '3e' }, 'NULL'],
    ['a = 3', { a: '3.0.0' }, 'NULL'],
    ['a < 3', { a: 'NaN' }, 'NULL'],
    ['a > 3', { a: 'Infinity' }, 'NULL'],
    ['a > 3', { a: '1e999' }, 'NULL'],
    ['a > 3', { a: '٤' }, 'NULL'],
    // Order is that of numbers only.
    ['a > 5', { a: '10' }, 'TRUE'],
    ['a > 5', { a: '5' }, 'FALSE'],
    ['a >= 5', { a: '5.0' }, 'TRUE'],
    ['a < 5', { a: '-10' }, 'TRUE'],
    ['a <= 5', { a: '5.000001' }, 'FALSE'],
    ['5 < a', { a: '10' }, 'TRUE'],
    ['5 >= a', { a: '10' }, 'FALSE'],
    ['a > 3.1E10', { a: '3.1415E10' }, 'TRUE'],
    ['a > 5', { a: 'abc' }, 'NULL'],
    ['a > b', { a: '20', b: '10' }, 'TRUE'],
    ['a > b', { a: '9', b: '10' }, 'FALSE'],
    ['a > b', { a: 'y', b: 'x' }, 'NULL'],
    ['a <= b', { a: 'y', b: '10' }, 'NULL'],
    // Exact where a double is not, up to nineteen digits.
    ['a = 9007199254740993', { a: '9007199254740993' }, 'TRUE'],
    ['a = 9007199254740993', { a: '9007199254740992' }, 'FALSE'],
    ['a > 9007199254740992', { a: '9007199254740993' }, 'TRUE'],
    ['a = 9007199254740992', { a: '9007199254740992.0' }, 'TRUE'],
    ['a < 9223372036854775807', { a: '-9223372036854775808' }, 'TRUE'],
    ['a = b', { a: '9007199254740993', b: '09007199254740993' }, 'FALSE'],
    ['a >= b AND a <= b', { a: '9007199254740993', b: '09007199254740993' }, 'TRUE'],
    ['a > 9223372036854775807', { a: '10000000000000000000000' }, 'TRUE'],
    ['a = 1e20', { a: '100000000000000000000' }, 'TRUE'],
    // Signs.
    ['-a > 1', { a: '-2' }, 'TRUE'],
    ['-a = -2', { a: '2.0' }, 'TRUE'],
    ['- -a = 2', { a: '2' }, 'TRUE'],
    ['-a < 9007199254740993', { a: '-9007199254740992' }, 'TRUE'],
    ['-a = 9007199254740993', { a: '-9007199254740993' }, 'TRUE'],
    ['-a > 1', { a: 'x' }, 'NULL'],
    ["-a = '-2'", { a: '2' }, 'TRUE'],
    ['-a IS NULL', { a: 'x' }, 'TRUE'],
    ['-a IS NULL', { a: '1' }, 'FALSE'],
    ["+a = 'x'", { a: 'x' }, 'TRUE'],
    // Truth values.
    ['a', { a: 'true' }, 'TRUE'],
    ['a', { a: 'FALSE' }, 'FALSE'],
    ['a', { a: 'yes' }, 'NULL'],
    ['a', { a: '1' }, 'NULL'],
    ['a = TRUE', { a: 'True' }, 'TRUE'],
    ['a = FALSE', { a: 'true' }, 'FALSE'],
    ['a <> TRUE', { a: 'false' }, 'TRUE'],
    ['a = TRUE', { a: 'tru' }, 'NULL'],
    ['a = TRUE', { a: 'TRUE ' }, 'NULL'],
    ['a = TRUE', { a: 'T\u0012UE' }, 'NULL'],
    ['(a > 1) = (b > 1)', { a: '2', b: '3' }, 'TRUE'],
    ['(a > 1) = (b > 1)', { a: '2', b: '0' }, 'FALSE'],
    ['(a > 1) = (b > 1)', { a: '2' }, 'NULL'],
    ['(a > 1) = b', { a: '2', b: 'true' }, 'TRUE'],
    // Between, both ends included.
    ['a BETWEEN 2 AND 10', { a: '2' }, 'TRUE'],
    ['a BETWEEN 2 AND 10', { a: '10.0' }, 'TRUE'],
    ['a BETWEEN 2 AND 10', { a: '11' }, 'FALSE'],
    ['a BETWEEN 2 AND 10', { a: 'x' }, 'NULL'],
    ['a NOT BETWEEN 2 AND 10', { a: '1' }, 'TRUE'],
    ['a NOT BETWEEN 2 AND 10', { a: '3' }, 'FALSE'],
    ['a NOT BETWEEN 10 AND 2', { a: '5' }, 'TRUE'],
    ['a BETWEEN b AND c', { a: '5', b: '1', c: '9' }, 'TRUE'],
    ['a BETWEEN b AND c', { a: '5', b: '9' }, 'FALSE'],
    ['a BETWEEN b AND c', { a: '5', b: '1' }, 'NULL'],
    ['a NOT BETWEEN b AND c', { a: '5', c: '1' }, 'TRUE'],
    ['5 BETWEEN -a AND a', { a: '6' }, 'TRUE'],
    // Members.
    ["a IN ('3', '4')", { a: '4' }, 'TRUE'],
    ["a IN ('3', '4')", { a: '3.0' }, 'FALSE'],
    ["a NOT IN ('3', '4')", { a: '5' }, 'TRUE'],
    ['a IN (3, 4)', { a: '3.0' }, 'TRUE'],
    ['a IN (3, 4)', { a: '5' }, 'FALSE'],
    ['a IN (3, 4)', { a: 'x' }, 'NULL'],
    ["a IN (3, 'x')", { a: 'x' }, 'TRUE'],
    ["a IN (3, 'x')", { a: 'y' }, 'NULL'],
    ["a NOT IN (3, 'x')", { a: 'y' }, 'NULL'],
    ["a IN ('')", { a: '' }, 'TRUE'],
    ['a IN (9007199254740993)', { a: '9007199254740992' }, 'FALSE'],
    // Parts of texts.
    ["a CONTAINS 'll'", { a: 'hello' }, 'TRUE'],
    ["a CONTAINS 'LL'", { a: 'hello' }, 'FALSE'],
    ["a CONTAINS '%'", { a: 'hello' }, 'FALSE'],
    ["a CONTAINS '_%'", { a: '1_%2' }, 'TRUE'],
    ["a NOT CONTAINS 'x'", { a: 'hello' }, 'TRUE'],
    ["a STARTSWITH 'he'", { a: 'hello' }, 'TRUE'],
    ["a STARTSWITH 'hello'", { a: 'hell' }, 'FALSE'],
    ["a NOT STARTSWITH 'e'", { a: 'hello' }, 'TRUE'],
    ["a ENDSWITH 'lo'", { a: 'hello' }, 'TRUE'],
    ["a ENDSWITH 'hello'", { a: 'ello' }, 'FALSE'],
    ["a NOT ENDSWITH 'l'", { a: 'hello' }, 'TRUE'],
    ["a ENDSWITH 'ü'", { a: 'zü' }, 'TRUE'],
    ["a CONTAINS '1'", { a: '212' }, 'TRUE'],
  ])('%s with %j is %s', (expression, properties, expected) => {
    expect(truth(expression, properties)).toBe(expected)
    expect(passes(expression, properties)).toBe(expected === 'TRUE')
  })

  test('what a property lacks is unknown in every comparison, negated or not', () => {
    const comparisons = [
      'a = 1', "a = 'x'", 'a = TRUE', 'a = b', 'b = a', 'a <> 1', "a <> 'x'", 'a < 1', 'a >= b', 'b <= a', '-a > 1', 'a',
      'a BETWEEN 1 AND 2', 'a NOT BETWEEN 1 AND 2', "a IN ('x')", 'a IN (1)', "a NOT IN ('x', 1)", "a LIKE '%'",
      "a NOT LIKE 'x'", "a CONTAINS 'x'", "a NOT CONTAINS 'x'", "a STARTSWITH 'x'", "a NOT STARTSWITH 'x'", "a ENDSWITH 'x'",
      "a NOT ENDSWITH 'x'",
    ]
    for (const comparison of comparisons) {
      expect([comparison, truth(comparison, { b: '1' })]).toEqual([comparison, 'NULL'])
      expect([comparison, passes(`NOT (${comparison})`, { b: '1' })]).toEqual([comparison, false])
    }
    expect(truth('a IS NULL', { b: '1' })).toBe('TRUE')
    expect(truth('a IS NOT NULL', { b: '1' })).toBe('FALSE')
    expect(truth('b IS NULL', { b: '' })).toBe('FALSE')
  })

  test('does not drop a message that passes for another reason', () => {
    expect(passes("price > 5 OR region = 'eu'", { price: 'free', region: 'eu' })).toBe(true)
    expect(passes('NOT (price > 5 AND level > 1)', { price: 'free', level: '1' })).toBe(true)
  })
})

describe('three truth values', () => {
  const values = ['TRUE', 'FALSE', 'NULL'] as const
  // The same in words of the message: known at once they could be decided another way.
  const inMessage = { TRUE: 'one = 1', FALSE: 'one = 2', NULL: 'none = 1' } as const
  const message = { one: '1' }

  test.each([
    ['TRUE', 'FALSE'],
    ['FALSE', 'TRUE'],
    ['NULL', 'NULL'],
  ] as const)('NOT %s is %s', (term, expected) => {
    expect(truth(`NOT ${term}`)).toBe(expected)
    expect(truth(`NOT ${inMessage[term]}`, message)).toBe(expected)
  })

  test.each([
    ['AND', [['TRUE', 'FALSE', 'NULL'], ['FALSE', 'FALSE', 'FALSE'], ['NULL', 'FALSE', 'NULL']]],
    ['OR', [['TRUE', 'TRUE', 'TRUE'], ['TRUE', 'FALSE', 'NULL'], ['TRUE', 'NULL', 'NULL']]],
    ['=', [['TRUE', 'FALSE', 'NULL'], ['FALSE', 'TRUE', 'NULL'], ['NULL', 'NULL', 'NULL']]],
    ['<>', [['FALSE', 'TRUE', 'NULL'], ['TRUE', 'FALSE', 'NULL'], ['NULL', 'NULL', 'NULL']]],
  ])('%s of each two', (operator, expected) => {
    const table = (write: (value: 'TRUE' | 'FALSE' | 'NULL') => string): string[][] =>
      values.map((left) => values.map((right) => truth(`${write(left)} ${operator} ${write(right)}`, message)))
    // NULL itself is compared with nothing.
    if (operator === 'AND' || operator === 'OR') expect(table((value) => value)).toEqual(expected)
    expect(table((value) => `(${inMessage[value]})`)).toEqual(expected)
    // A term more that decides nothing.
    if (operator === 'AND') expect(table((value) => `TRUE AND ${inMessage[value]}`)).toEqual(expected)
    if (operator === 'OR') expect(table((value) => `FALSE OR ${inMessage[value]}`)).toEqual(expected)
  })

  test('IS NULL is never unknown', () => {
    for (const value of values) {
      expect(truth(`(${inMessage[value]}) IS NULL`, message)).toBe(value === 'NULL' ? 'TRUE' : 'FALSE')
      expect(truth(`(${inMessage[value]}) IS NOT NULL`, message)).toBe(value === 'NULL' ? 'FALSE' : 'TRUE')
      expect(truth(`${value} IS NULL`)).toBe(value === 'NULL' ? 'TRUE' : 'FALSE')
    }
    for (const value of ['5', "'x'", "''"]) expect(truth(`${value} IS NULL`)).toBe('FALSE')
  })
})

describe('a message that cannot be read', () => {
  const headers: Partial<MessageHeaders> = {
    deliverMs: 1_795_000_000_000, priority: 3, ttlMs: 5_000, tag: 'paid', keys: ['k1', 'k2'], messageGroup: 'g',
    properties: new Map([['a', '1'], ['b', 'x'.repeat(130)]]),
  }
  const whole = recordOf(['body'], { headers: [headers] })
  const passing = ['a = 1', "TAGS = 'paid'", "KEYS = 'k1 k2'", 'a = 1 OR a IS NULL']
  const filters = [...passing, 'a IS NULL', 'TAGS IS NULL', 'KEYS IS NULL'].map((expression) => parseFilter('SQL92', expression))
  const start = RecordBatch.view(whole).messageStart(0)

  /** The record with bytes of its message changed; its checksum is not asked for. */
  function changed(change: (message: Uint8Array) => void): RecordBatch {
    const bytes = whole.slice()
    change(bytes.subarray(start))
    return RecordBatch.view(bytes)
  }

  test('does not pass where it is shorter or longer than it says', () => {
    for (const size of [0, 1, 2, 20, whole.length - start - 3, whole.length - start - 1]) {
      const record = changed((message) => {
        message[0] = (size & 0x7f) | 0x80
        message[1] = size >>> 7
      })
      for (const filter of filters) expect(filter.accepts(record, 0), `${filter.expression} of ${size} bytes`).toBe(false)
    }
  })

  test('does not pass where a part of it ends behind it', () => {
    const text = Buffer.from(whole.subarray(start)).toString('latin1')
    for (const sizeAt of [text.indexOf('paid') - 1, text.indexOf('k1') - 1, text.indexOf('k2') - 1, text.indexOf('k1') - 2]) {
      const record = changed((message) => (message[sizeAt] = 0xfe))
      for (const filter of filters) expect(filter.accepts(record, 0), `${filter.expression}, size at ${sizeAt}`).toBe(false)
    }
    const valueSizeAt = text.indexOf('xxx') - 1
    expect(parseFilter('SQL92', 'a = 1').accepts(changed((message) => (message[valueSizeAt] = 2)), 0)).toBe(false)
  })

  test('does not pass where a number in it does not end', () => {
    const record = changed((message) => message.fill(0xff, 3))
    for (const filter of filters) expect(filter.accepts(record, 0)).toBe(false)
  })

  test('never throws, whatever bytes it has, and is forgotten', () => {
    const good = RecordBatch.view(whole)
    for (let at = 0; at < whole.length - start; at++) {
      for (const byte of [0, 1, 0x7f, 0x80, 0xff]) {
        const record = changed((message) => (message[at] = byte))
        for (const filter of filters) {
          filter.accepts(record, 0)
          expect(filter.accepts(good, 0)).toBe(passing.includes(filter.expression))
        }
      }
    }
  })
})

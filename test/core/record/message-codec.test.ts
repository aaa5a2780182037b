// One message as bytes. What a client's check lets through is what the broker's scan lets through: at every bound, one
// over it, and far beyond.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, textSize } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { hash32 } from '../../../core/hash.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { deadLetterProperties, type MessageHeaders } from '../../../core/model/message.ts'
import { checkMessage, decodeMessage, encodeMessage, MessageScanner } from '../../../core/record/message-codec.ts'
import { encodeMessages, someMessage } from '../../support/messages.ts'

const bodyBytesMax = 2_000
const { tagBytesMax, keyBytesMax, keyCountMax, messageGroupBytesMax } = fixedLimits
const { propertyCountMax, propertiesBytesMax, delayMsMax, ttlMsMax, priorityMax } = fixedLimits

/** The code of what was thrown; `none` where nothing was, and the error itself where it has no code. */
function verdict(run: () => unknown): unknown {
  try {
    run()
    return 'none'
  } catch (error) {
    return error instanceof PocketError ? error.code : error
  }
}

function encode(headers: MessageHeaders, body: Uint8Array, sequenceDelta = 0): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(writer, new ByteWriter(), sequenceDelta, headers, body)
  return writer.finish()
}

function scan(bytes: Uint8Array, origin: 'sent' | 'stored' = 'sent'): MessageScanner {
  const scanner = new MessageScanner({ bodyBytesMax }, origin)
  scanner.reset(bytes, 0, bytes.length)
  while (!scanner.atEnd) scanner.next()
  return scanner
}

function verdicts(headers: MessageHeaders, bodySize = 0): { checked: unknown; scanned: unknown } {
  return {
    checked: verdict(() => checkMessage(headers, bodySize, bodyBytesMax)),
    scanned: verdict(() => scan(encode(headers, new Uint8Array(bodySize)))),
  }
}

/** So many distinct properties whose names and values have `bytes` bytes in all. */
function propertiesOf(count: number, bytes: number): Map<string, string> {
  const properties = new Map<string, string>()
  for (let index = 0; index < count; index++) {
    const name = `p${index}`
    const left = bytes - (count - 1 - index) * 4
    const value = index === count - 1 ? left - name.length : 4 - name.length
    properties.set(name, 'v'.repeat(Math.max(0, value)))
    bytes -= name.length + Math.max(0, value)
  }
  return properties
}

describe('an encoded message', () => {
  test('comes back as it was', () => {
    fc.assert(fc.property(someMessage, fc.nat(20_000), ({ headers, body }, sequenceDelta) => {
      const bytes = encode(headers, body, sequenceDelta)
      const decoded = decodeMessage(bytes, 0)
      expect(decoded).toEqual({ headers, sequenceDelta, body })
      expect(decodeMessage(bytes, 0, bytes.length)).toEqual(decoded)
    }))
  })

  test('is scanned for what the index needs', () => {
    fc.assert(fc.property(fc.array(someMessage, { minLength: 1, maxLength: 6 }), (messages) => {
      const bytes = encodeMessages(messages)
      const scanner = new MessageScanner({ bodyBytesMax })
      scanner.reset(bytes, 0, bytes.length)
      let end = 0
      messages.forEach(({ headers, body }, index) => {
        scanner.next()
        expect(scanner.start).toBe(end)
        expect(scanner.sequenceDelta).toBe(index)
        expect(scanner.tagHash).toBe(headers.tag === undefined ? 0 : hash32(Buffer.from(headers.tag)))
        expect(scanner.keyHashes).toEqual((headers.keys ?? []).map((key) => hash32(Buffer.from(key))))
        expect(scanner.hasMessageGroup).toBe(headers.messageGroup !== undefined)
        expect(scanner.messageGroupHash).toBe(
          headers.messageGroup === undefined ? 0 : hash32(Buffer.from(headers.messageGroup)),
        )
        expect(scanner.hasKeys).toBe(headers.keys !== undefined)
        expect(scanner.firstKeyHash).toBe(scanner.keyHashes[0] ?? 0)
        expect(scanner.delayMs).toBe(headers.delayMs ?? 0)
        expect(scanner.deliverMs).toBe(headers.deliverMs ?? 0)
        expect([scanner.hasPriority, scanner.priority]).toEqual([headers.priority !== undefined, headers.priority ?? 0])
        expect(scanner.ttlMs).toBe(headers.ttlMs ?? 0)
        expect(scanner.bodySize).toBe(body.length)
        expect(bytes.subarray(scanner.bodyStart, scanner.end)).toEqual(body)
        expect(decodeMessage(bytes, scanner.start, scanner.end).headers).toEqual(headers)
        end = scanner.end
      })
      expect(scanner.atEnd).toBe(true)
    }))
  })

  test('leaves out what is empty', () => {
    const plain = encode({ bornMs: 5 }, Uint8Array.of(9))
    expect(encode({ bornMs: 5, keys: [], properties: new Map() }, Uint8Array.of(9))).toEqual(plain)
    expect(plain).toEqual(Uint8Array.of(4, 0, 0, 5, 9))
  })

  test('holds its numbers behind the born time: delay or time of delivery, priority, time to live', () => {
    const body = Uint8Array.of(9)
    expect(encode({ bornMs: 5, delayMs: 300, priority: 7, ttlMs: 1, tag: 'a' }, body))
      .toEqual(Uint8Array.of(10, 16 | 64 | 128 | 1, 0, 5, 0xac, 0x02, 7, 1, 1, 97, 9))
    expect(encode({ bornMs: 5, deliverMs: 300 }, body)).toEqual(Uint8Array.of(6, 32, 0, 5, 0xac, 0x02, 9))
  })

  test('says that a delay or a priority of 0 was given', () => {
    const headers = { bornMs: 5, delayMs: 0, priority: 0 }
    expect(decodeMessage(encode(headers, Uint8Array.of(9)), 0).headers).toEqual(headers)
    const scanner = scan(encode(headers, Uint8Array.of(9)))
    expect([scanner.hasPriority, scanner.priority, scanner.delayMs]).toEqual([true, 0, 0])
  })

  test('leaves nothing of itself to the scan of the next one', () => {
    const full = {
      bornMs: 1, tag: 'a', keys: ['k'], messageGroup: 'g', properties: new Map([['a', 'b']]), priority: 3, ttlMs: 5,
    }
    const bytes = encodeMessages([
      { headers: { ...full, delayMs: 7 }, body: new Uint8Array(3) },
      { headers: { bornMs: 2 }, body: new Uint8Array(2) },
      { headers: { ...full, deliverMs: 9 }, body: new Uint8Array(1) },
      { headers: { bornMs: 2, tag: 'b' }, body: new Uint8Array(0) },
    ])
    const scanner = new MessageScanner({ bodyBytesMax })
    scanner.reset(bytes, 0, bytes.length)
    const seen = [1, 2, 3, 4].map(() => {
      scanner.next()
      const { delayMs, deliverMs, hasPriority, priority, ttlMs, hasMessageGroup, hasKeys, firstKeyHash, bodySize } = scanner
      return [delayMs, deliverMs, hasPriority, priority, ttlMs, hasMessageGroup, hasKeys, firstKeyHash, bodySize]
    })
    const key = hash32(Buffer.from('k'))
    expect(seen).toEqual([
      [7, 0, true, 3, 5, true, true, key, 3],
      [0, 0, false, 0, 0, false, false, 0, 2],
      [0, 9, true, 3, 5, true, true, key, 1],
      [0, 0, false, 0, 0, false, false, 0, 0],
    ])
    expect(scanner.tagHash).toBe(hash32(Buffer.from('b')))
  })

  test('that was refused leaves nothing to the scan of others', () => {
    const bad = encode({ bornMs: 1, delayMs: 5, priority: 9, tag: 'a|' }, Uint8Array.of(9))
    const plain = encode({ bornMs: 1 }, Uint8Array.of(9))
    const scanner = new MessageScanner({ bodyBytesMax })
    scanner.reset(bad, 0, bad.length)
    expect(verdict(() => scanner.next())).toBe('BAD_NAME')
    scanner.reset(plain, 0, plain.length)
    scanner.next()
    expect([scanner.delayMs, scanner.hasPriority, scanner.tagHash]).toEqual([0, false, 0])
  })

  test('is not begun where a number is wrong, so that its writers keep what they had', () => {
    const writer = new ByteWriter()
    const scratch = new ByteWriter()
    for (const bornMs of [-1, 0.5, Number.NaN]) {
      expect(() => encodeMessage(writer, scratch, 0, { bornMs, tag: 'a' }, Uint8Array.of(1))).toThrow('born')
      expect(() => encodeMessage(writer, scratch, bornMs, { bornMs: 1 }, Uint8Array.of(1))).toThrow('delta')
    }
    for (const wrong of [{ delayMs: -1 }, { deliverMs: 0.5 }, { priority: 256 }, { ttlMs: Number.NaN }]) {
      expect(() => encodeMessage(writer, scratch, 0, { bornMs: 1, ...wrong }, Uint8Array.of(1))).toThrow('checked')
    }
    expect(writer.length + scratch.length).toBe(0)
  })
})

describe('the check of a client and the scan of a broker', () => {
  const x = (count: number) => 'x'.repeat(count)
  const far = 100_000
  const tooLarge = 'MESSAGE_TOO_LARGE'
  const cases: [string, MessageHeaders, number, string][] = [
    ['nothing but a body', { bornMs: 0 }, 0, 'none'],
    ['a born time at its bound', { bornMs: Number.MAX_SAFE_INTEGER }, 0, 'none'],
    ['a body at its bound', { bornMs: 0 }, bodyBytesMax, 'none'],
    ['a body over it', { bornMs: 0 }, bodyBytesMax + 1, 'MESSAGE_TOO_LARGE'],
    ['a body far over it', { bornMs: 0 }, far, 'MESSAGE_TOO_LARGE'],
    ['a tag at its bound', { bornMs: 0, tag: x(tagBytesMax) }, 0, 'none'],
    ['a tag over it', { bornMs: 0, tag: x(tagBytesMax + 1) }, 0, 'BAD_NAME'],
    ['a tag far over it', { bornMs: 0, tag: x(far) }, 0, 'BAD_NAME'],
    ['a wide tag over it', { bornMs: 0, tag: '€'.repeat(43) }, 0, 'BAD_NAME'],
    ['an empty tag', { bornMs: 0, tag: '' }, 0, 'BAD_NAME'],
    ['a blank tag', { bornMs: 0, tag: '  ' }, 0, 'BAD_NAME'],
    ['a tag that begins with a blank', { bornMs: 0, tag: ' a' }, 0, 'BAD_NAME'],
    ['a tag that ends with a blank', { bornMs: 0, tag: 'a ' }, 0, 'BAD_NAME'],
    ['a tag with a wide blank', { bornMs: 0, tag: '\u00a0a\u3000' }, 0, 'none'],
    ['a tag with a separator', { bornMs: 0, tag: 'a|b' }, 0, 'BAD_NAME'],
    ['a tag with a control character', { bornMs: 0, tag: 'a\u0007' }, 0, 'BAD_NAME'],
    ['a tag with a delete character', { bornMs: 0, tag: 'a\u007f' }, 0, 'BAD_NAME'],
    ['a key at its bound', { bornMs: 0, keys: [x(keyBytesMax)] }, 0, 'none'],
    ['a key over it', { bornMs: 0, keys: ['a', x(keyBytesMax + 1)] }, 0, 'BAD_NAME'],
    ['an empty key', { bornMs: 0, keys: [''] }, 0, 'BAD_NAME'],
    ['a key that begins with a blank', { bornMs: 0, keys: [' a|'] }, 0, 'none'],
    ['as many keys as can be', { bornMs: 0, keys: Array.from({ length: keyCountMax }, () => 'k') }, 0, 'none'],
    ['a key more', { bornMs: 0, keys: Array.from({ length: keyCountMax + 1 }, () => 'k') }, 0, 'BAD_ARGUMENT'],
    ['far too many keys', { bornMs: 0, keys: Array.from({ length: 5_000 }, () => 'k') }, 0, 'BAD_ARGUMENT'],
    ['a message group at its bound', { bornMs: 0, messageGroup: x(messageGroupBytesMax) }, 0, 'none'],
    ['a message group over it', { bornMs: 0, messageGroup: x(messageGroupBytesMax + 1) }, 0, 'BAD_NAME'],
    ['a blank message group', { bornMs: 0, messageGroup: ' ' }, 0, 'BAD_NAME'],
    ['an empty property value', { bornMs: 0, properties: new Map([['a', '']]) }, 0, 'none'],
    ['any property value', { bornMs: 0, properties: new Map([['a', ' \u0000\n|']]) }, 0, 'none'],
    ['an empty property name', { bornMs: 0, properties: new Map([['', 'a']]) }, 0, 'BAD_NAME'],
    ['a property name at its bound', { bornMs: 0, properties: new Map([[x(keyBytesMax), 'a']]) }, 0, 'none'],
    ['a property name over it', { bornMs: 0, properties: new Map([[x(keyBytesMax + 1), 'a']]) }, 0, 'BAD_NAME'],
    ['as many properties as can be', { bornMs: 0, properties: propertiesOf(propertyCountMax, 1_000) }, 0, 'none'],
    ['a property more', { bornMs: 0, properties: propertiesOf(propertyCountMax + 1, 1_000) }, 0, 'BAD_ARGUMENT'],
    ['properties at their size', { bornMs: 0, properties: propertiesOf(100, propertiesBytesMax) }, 0, 'none'],
    ['properties over it', { bornMs: 0, properties: propertiesOf(100, propertiesBytesMax + 1) }, 0, tooLarge],
    ['one property at their size', { bornMs: 0, properties: propertiesOf(1, propertiesBytesMax) }, 0, 'none'],
    ['one property over it', { bornMs: 0, properties: propertiesOf(1, propertiesBytesMax + 1) }, 0, tooLarge],
    ['one property far over it', { bornMs: 0, properties: propertiesOf(1, far) }, 0, 'MESSAGE_TOO_LARGE'],
    [
      'tag and keys that count with the properties, at their size',
      { bornMs: 0, tag: 'tag', keys: ['key', 'äö'], properties: propertiesOf(9, propertiesBytesMax - 10) },
      0,
      'none',
    ],
    [
      'tag and keys that count with the properties, over it',
      { bornMs: 0, tag: 'tag', keys: ['key', 'äö'], properties: propertiesOf(9, propertiesBytesMax - 9) },
      0,
      'MESSAGE_TOO_LARGE',
    ],
    [
      'a message group, which does not count with the properties',
      { bornMs: 0, messageGroup: x(messageGroupBytesMax), properties: propertiesOf(9, propertiesBytesMax) },
      0,
      'none',
    ],
  ]

  const numbers: [string, Omit<MessageHeaders, 'bornMs'>, string][] = [
    ['a delay of 0', { delayMs: 0 }, 'none'],
    ['a delay at its bound', { delayMs: delayMsMax }, 'none'],
    ['a delay over it', { delayMs: delayMsMax + 1 }, 'BAD_ARGUMENT'],
    ['a delay far over it', { delayMs: Number.MAX_SAFE_INTEGER }, 'BAD_ARGUMENT'],
    ['a time of delivery of 0', { deliverMs: 0 }, 'none'],
    ['a time of delivery far away, which the clock of the broker judges', { deliverMs: Number.MAX_SAFE_INTEGER }, 'none'],
    ['a delay and a time of delivery', { delayMs: 1, deliverMs: 1 }, 'BAD_ARGUMENT'],
    ['a delay and a time of delivery of 0', { delayMs: 0, deliverMs: 0 }, 'BAD_ARGUMENT'],
    ['a priority of 0', { priority: 0 }, 'none'],
    ['a priority at its bound', { priority: priorityMax }, 'none'],
    ['a priority over it', { priority: priorityMax + 1 }, 'BAD_ARGUMENT'],
    ['a priority far over it', { priority: 255 }, 'BAD_ARGUMENT'],
    ['a time to live of 0', { ttlMs: 0 }, 'BAD_ARGUMENT'],
    ['a time to live of 1', { ttlMs: 1 }, 'none'],
    ['a time to live at its bound', { ttlMs: ttlMsMax }, 'none'],
    ['a time to live over it', { ttlMs: ttlMsMax + 1 }, 'BAD_ARGUMENT'],
    ['a time to live far over it', { ttlMs: Number.MAX_SAFE_INTEGER }, 'BAD_ARGUMENT'],
    ['a delay, a priority and a time to live', { delayMs: 1, priority: 1, ttlMs: 1 }, 'none'],
  ]

  test.each(numbers)('agree on %s', (_, headers, code) => {
    expect(verdicts({ bornMs: 0, ...headers })).toEqual({ checked: code, scanned: code })
    // Whatever is not to be sent is not to be read either: a delivery that has it is no message.
    const read = verdict(() => decodeMessage(encode({ bornMs: 0, ...headers }, new Uint8Array(0)), 0))
    expect(read).toBe(code === 'none' ? 'none' : 'BAD_FRAME')
  })

  test.each<[string, Omit<MessageHeaders, 'bornMs'>]>([
    ['a delay that is no count', { delayMs: -1 }],
    ['a delay of half a millisecond', { delayMs: 0.5 }],
    ['a time of delivery before 1970', { deliverMs: -1 }],
    ['a time of delivery that is no number', { deliverMs: Number.NaN }],
    ['a time of delivery over 53 bits', { deliverMs: 2 ** 53 }],
    ['a priority below 0', { priority: -1 }],
    ['a priority in between', { priority: 1.5 }],
    ['a priority that is a text', { priority: '5' as unknown as number }],
    ['a time to live that is no count', { ttlMs: -1 }],
    ['a time to live without end', { ttlMs: Number.POSITIVE_INFINITY }],
  ])('are not asked the same about %s, for which there are no bytes: the client refuses it', (_, headers) => {
    expect(verdict(() => checkMessage({ bornMs: 0, ...headers }, 0, bodyBytesMax))).toBe('BAD_ARGUMENT')
  })

  test.each(cases)('agree on %s', (_, headers, bodySize, code) => {
    expect(verdicts(headers, bodySize)).toEqual({ checked: code, scanned: code })
  })

  test('agree on anything near the bounds', () => {
    const near = (max: number) => fc.constantFrom(0, 1, max - 1, max, max + 1, max * 3)
    const text = (max: number) => fc.tuple(near(max), fc.constantFrom('x', 'ä', '€', '😀', ' ', '|', '\u0001', '\u00a0'))
      .map(([bytes, unit]) => {
        const filling = unit.repeat(Math.floor(bytes / textSize(unit)))
        return filling + 'y'.repeat(bytes - textSize(filling))
      })
    const headers: fc.Arbitrary<MessageHeaders> = fc.record(
      {
        bornMs: fc.maxSafeNat(),
        tag: text(tagBytesMax),
        keys: fc.oneof(
          fc.array(text(keyBytesMax), { maxLength: 4 }),
          near(keyCountMax).map((count) => new Array<string>(count).fill('k')),
        ),
        messageGroup: text(messageGroupBytesMax),
        properties: fc.oneof(
          fc.tuple(near(propertyCountMax), near(propertiesBytesMax))
            .map(([count, bytes]) => propertiesOf(count, bytes)),
          fc.array(fc.tuple(text(keyBytesMax), text(propertiesBytesMax)), { maxLength: 2 })
            .map((pairs) => new Map(pairs)),
        ),
        delayMs: near(delayMsMax),
        deliverMs: fc.maxSafeNat(),
        priority: fc.nat(priorityMax + 1),
        ttlMs: near(ttlMsMax),
      },
      { requiredKeys: ['bornMs'] },
    )
    fc.assert(fc.property(headers, near(bodyBytesMax), (sent, bodySize) => {
      const { checked, scanned } = verdicts(sent, bodySize)
      // Where several things are wrong, either may be named.
      expect(typeof checked).toBe('string')
      expect(typeof scanned).toBe('string')
      expect(checked === 'none').toBe(scanned === 'none')
    }), { numRuns: 400 })
  })

  test('differ on half characters only: bytes cannot say them, so the client refuses them', () => {
    for (const headers of [
      { bornMs: 0, tag: 'a\ud800' },
      { bornMs: 0, properties: new Map([['a', '\udc00']]) },
      { bornMs: 0, keys: ['\ud83d'] },
    ]) {
      expect(verdicts(headers)).toEqual({ checked: 'BAD_ARGUMENT', scanned: 'none' })
    }
  })

  test('agree on whatever bytes the scan lets through', () => {
    let passedCount = 0
    const mutation = fc.tuple(fc.nat(400), fc.nat(255))
    fc.assert(fc.property(someMessage, fc.array(mutation, { maxLength: 3 }), ({ headers, body }, mutations) => {
      const bytes = encode(headers, body)
      for (const [at, byte] of mutations) bytes[at % bytes.length] = byte
      if (verdict(() => scan(bytes)) !== 'none') return
      passedCount++
      let position = 0
      const scanner = new MessageScanner({ bodyBytesMax })
      scanner.reset(bytes, 0, bytes.length)
      while (!scanner.atEnd) {
        scanner.next()
        const decoded = decodeMessage(bytes, position, scanner.end)
        expect(verdict(() => checkMessage(decoded.headers, decoded.body.length, bodyBytesMax))).toBe('none')
        position = scanner.end
      }
    }), { numRuns: 1_000 })
    expect(passedCount).toBeGreaterThan(100)
  })
})

describe('hostile bytes', () => {
  const decoders: [string, (bytes: Uint8Array) => unknown][] = [
    ['the scan', (bytes) => scan(bytes)],
    ['the scan of what is stored', (bytes) => scan(bytes, 'stored')],
    ['the decoder', (bytes) => decodeMessage(bytes, 0)],
    ['the decoder of a whole range', (bytes) => decodeMessage(bytes, 0, bytes.length)],
  ]

  test.each(decoders)('get a coded refusal from %s, whatever they are', (_, decode) => {
    const codes = new Set(['none', 'BAD_FRAME', 'BAD_NAME', 'BAD_ARGUMENT', 'MESSAGE_TOO_LARGE'])
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(codes).toContain(verdict(() => decode(bytes)))
    }), { numRuns: 2_000 })
    const small = fc.uint8Array({ maxLength: 60 })
      .map((bytes) => Uint8Array.of(bytes.length, bytes[0] ?? 15, ...bytes.map((byte) => byte % 9)))
    fc.assert(fc.property(small, (bytes) => {
      expect(codes).toContain(verdict(() => decode(bytes)))
    }), { numRuns: 2_000 })
  })

  test('that end anywhere among the headers are refused by all', () => {
    const headers = {
      bornMs: 1_795_000_000_000, delayMs: 100_000, priority: 3, ttlMs: 100_000,
      tag: 'paid', keys: ['k'], messageGroup: 'g', properties: new Map([['a', 'b']]),
    }
    const bytes = encode(headers, new Uint8Array(0))
    for (let length = 1; length < bytes.length; length++) {
      const cut = bytes.slice(0, length)
      cut[0] = length - 1
      for (const [, decode] of decoders) expect(verdict(() => decode(cut))).toBe('BAD_FRAME')
    }
  })

  test.each([
    ['a size beyond the end', [5, 0, 0, 0]],
    ['a size of almost 53 bits', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]],
    ['a size over 53 bits', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]],
    ['a size too small for its fields', [2, 0, 0]],
    ['no size', []],
    ['a tag that ends after its message', [5, 1, 0, 0, 2, 97]],
    ['a tag that ends after its message, inside the next', [5, 1, 0, 0, 4, 97, 5, 0, 0, 0, 1, 1]],
    ['more keys than bytes', [5, 2, 0, 0, 32, 1]],
    ['a property without a value', [6, 8, 0, 0, 1, 1, 97]],
    ['a tag that is no UTF-8', [7, 1, 0, 0, 3, 0xff, 0xfe, 97]],
    ['a delay that is not there', [3, 16, 0, 0]],
    ['a time of delivery that is not there', [3, 32, 0, 0]],
    ['a priority that is not there', [3, 64, 0, 0]],
    ['a priority that is not there, before the next message', [3, 64, 0, 0, 5, 0, 0, 0, 1, 1]],
    ['a time to live that is not there', [4, 192, 0, 0, 5]],
    ['a time to live that ends after its message', [4, 128, 0, 0, 0x80]],
    ['a time of delivery over 53 bits', [11, 32, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['a sequence over 53 bits', [10, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]],
  ])('with %s are refused', (_, bytes) => {
    const message = Uint8Array.from(bytes)
    if (message.length > 0) expect(verdict(() => scan(message))).toBe('BAD_FRAME')
    expect(verdict(() => decodeMessage(message, 0))).toBe('BAD_FRAME')
  })

  test('beyond the end of their range are not read', () => {
    const bytes = encodeMessages([
      { headers: { bornMs: 1 }, body: new Uint8Array(10) },
      { headers: { bornMs: 2 }, body: new Uint8Array(4) },
    ])
    const scanner = new MessageScanner({ bodyBytesMax })
    scanner.reset(bytes, 0, 14)
    scanner.next()
    expect(scanner.atEnd).toBe(true)
    expect(verdict(() => scanner.next())).toBe('BAD_FRAME')
    scanner.reset(bytes, 0, 13)
    expect(verdict(() => scanner.next())).toBe('BAD_FRAME')
    expect(verdict(() => decodeMessage(bytes, 0, 13))).toBe('BAD_FRAME')
    expect(verdict(() => decodeMessage(bytes, 0, 15))).toBe('BAD_FRAME')
    expect(verdict(() => decodeMessage(bytes, 0, 14))).toBe('none')
  })
})

describe('what a broker keeps', () => {
  test('may hold the properties of a dead letter beyond the bounds of a client', () => {
    const properties = propertiesOf(propertyCountMax, propertiesBytesMax)
    for (const name of Object.values(deadLetterProperties)) properties.set(name, 'o'.repeat(100))
    const bytes = encode({ bornMs: 1, properties }, new Uint8Array(1))
    expect(verdict(() => scan(bytes))).toBe('BAD_ARGUMENT')
    expect(verdict(() => scan(bytes, 'stored'))).toBe('none')
    expect(decodeMessage(bytes, 0).headers.properties).toEqual(properties)
  })

  test('stays readable when the bound of bodies is lowered', () => {
    const bytes = encode({ bornMs: 1 }, new Uint8Array(bodyBytesMax + 1))
    expect(verdict(() => scan(bytes))).toBe('MESSAGE_TOO_LARGE')
    expect(verdict(() => scan(bytes, 'stored'))).toBe('none')
  })
})

// PROTOCOL.md is the law: it lists exactly the frames, fields, limits, errors and close codes that the code has, and
// its examples are what the code reads and writes.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { textToBytes } from '../../core/bytes.ts'
import { crc32c } from '../../core/crc32c.ts'
import { errorMeanings } from '../../core/error-meanings.ts'
import { errorCodes } from '../../core/error-codes.ts'
import type { ErrorCode } from '../../core/errors.ts'
import { fixedLimits } from '../../core/limits.ts'
import { closeCodes, isReconnectable } from '../../core/model/close-codes.ts'
import {
  deadLetterProperties, formatMessageId, formatRecallHandle, parseRecallHandle, requestProperties, traceProperty,
  unresolvedProperties,
} from '../../core/model/message.ts'
import { traceTopic, unresolvedTopic } from '../../core/model/names.ts'
import type { FrameFields, FrameName } from '../../core/protocol/frames.ts'
import { protocolVersion, subprotocol } from '../../core/protocol/frames.ts'
import { decodeMessage, MessageScanner } from '../../core/record/message-codec.ts'
import { RecordBatch } from '../../core/record/record-batch.ts'
import { decodeAny, encodeAny, frameSpecs } from '../support/frames.ts'
import { type Form, type FormField, parseForm } from '../support/forms.ts'
import { fromHex, goldenFrames, toHex } from './golden.ts'

const law = readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8')

/** What stands under a heading, up to the next one of its level or above. */
function section(heading: string): string {
  const level = /^#+/.exec(heading)?.[0].length ?? 0
  const start = law.indexOf(`\n${heading}\n`)
  if (start < 0) throw new Error(`PROTOCOL.md has no heading '${heading}'`)
  const rest = law.slice(start + heading.length + 2)
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'))
  return end < 0 ? rest : rest.slice(0, end)
}

/** The cells of the first table in a text that has this head, without head and rule. */
function tableIn(text: string, head: string): string[][] {
  const lines = text.split('\n')
  const start = lines.indexOf(head)
  if (start < 0) throw new Error(`no table '${head}' in '${text.slice(0, 60)}…'`)
  const rows: string[][] = []
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break
    rows.push(line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim()))
  }
  return rows
}

const bare = (cell: string): string => cell.replaceAll('`', '')

const names = new Map<string, Form>()
for (const [name, form] of tableIn(section('## 3. Frames and fields'), '| name | form |')) {
  names.set(name as string, parseForm(bare(form as string), names))
}

describe('PROTOCOL.md lists the frames of the code', () => {
  const directions = [['upstream', '## 4. Frames of the client'], ['downstream', '## 5. Frames of the relay']] as const
  const headings = (title: string) =>
    [...section(title).matchAll(/^### (\d+) ([A-Z_]+)$/gm)].map(([, type, name]) => [Number(type), name])

  test.each(directions)('%s', (direction, title) => {
    const inCode = frameSpecs.filter((spec) => spec.direction === direction).map(({ type, name }) => [type, name])
    expect(headings(title)).toEqual(inCode)
  })

  test.each(frameSpecs.map((spec) => [spec.name, spec] as const))('with the fields of %s', (name, { type, form }) => {
    const fields: FormField[] = tableIn(section(`### ${type} ${name}`), '| field | form | meaning |')
      .map(([field, fieldForm]) => ({ name: field as string, form: parseForm(bare(fieldForm as string), names) }))
    expect(fields).toEqual(form.fields)
  })

  test('and every answer that it names is a frame', () => {
    for (const [, answers] of section('## 4. Frames of the client').matchAll(/Answer: ([^.;]*)/g)) {
      for (const [word] of (answers as string).matchAll(/\b[A-Z_]{4,}\b/g)) {
        expect(frameSpecs.filter(({ direction }) => direction === 'downstream').map(({ name }) => name)).toContain(word)
      }
    }
  })

  test('and uses every form that it names', () => {
    const inCells = law.matchAll(/\| ([a-z]+(?: [a-z]+)?) \|/g)
    const inForms = law.matchAll(/[(:] ?([a-z]+(?: [a-z]+)?)(?=[,) }])/g)
    const used = [...inCells, ...inForms].map(([, word]) => word)
    for (const name of names.keys()) expect(used).toContain(name)
  })
})

describe('PROTOCOL.md lists', () => {
  test('the errors of the code', () => {
    const inLaw = tableIn(section('## 9. Errors'), '| number | code | advice | meaning |')
    const inCode = Object.entries(errorCodes)
      .map(([code, { number, retry }]) => [String(number), code, retry, errorMeanings[code as ErrorCode]])
    expect(inLaw).toEqual(inCode)
  })

  test('the close codes of the code', () => {
    const inLaw = tableIn(section('## 10. Close codes'), '| code | name | advice | meaning |')
      .map((row) => row.slice(0, 3))
    const inCode = Object.entries(closeCodes)
      .map(([name, code]) => [String(code), name, isReconnectable(code) ? 'reconnect' : 'stop'])
    expect(inLaw).toEqual(inCode)
  })

  test('the limits of the code', () => {
    const inLaw = tableIn(section('## 8. Limits'), '| limit | value |')
    expect(Object.fromEntries(inLaw.map(([name, value]) => [name, Number(value)]))).toEqual(fixedLimits)
  })

  test('the properties of a dead letter', () => {
    const inLaw = section('### 7.5 Attempts and dead letters')
    for (const name of Object.values(deadLetterProperties)) expect(inLaw).toContain(name)
  })

  test('the properties and the topic of transactions that nobody could say the end of', () => {
    const inLaw = section('### 7.13 Transactions')
    for (const name of [unresolvedTopic, ...Object.values(unresolvedProperties)]) expect(inLaw).toContain(name)
  })

  test('the properties of requests and of traces, and where traces are', () => {
    for (const name of Object.values(requestProperties)) expect(section('### 7.14 Requests and replies')).toContain(name)
    for (const name of [traceProperty, traceTopic]) expect(section('### 7.15 Traces')).toContain(name)
  })

  test('a recall handle as it is made and read', () => {
    const [, handle] = /`(\w+~[\w-]+)`/.exec(section('### 7.12 Delayed messages')) ?? []
    const { deliverMs, ...id } = parseRecallHandle(handle as string)
    expect(formatRecallHandle(deliverMs, formatMessageId(id))).toBe(handle)
    expect(deliverMs).toBe(1_795_000_090_000)
  })

  test('the subprotocol, and every version up to the one that is spoken', () => {
    expect(law.slice(0, 400)).toContain(`Version ${protocolVersion.max}, subprotocol \`${subprotocol}\``)
    const versions = tableIn(section('## 12. Versions'), '| version | date | change |')
      .map(([version]) => Number(version))
    expect(versions).toEqual(Array.from({ length: protocolVersion.max }, (_, index) => index + 1))
  })
})

describe('the examples of PROTOCOL.md', () => {
  const examples = new Map(
    [...law.matchAll(/```hex ([A-Z]+)\n([^`]*)```/g)].map(([, name, lines]) => [
      name as string,
      fromHex((lines as string).split('\n').map((line) => line.split(/ {2,}/)[0]).join('')),
    ]),
  )
  const read = <N extends FrameName>(name: N): FrameFields<N> => {
    const { direction } = frameSpecs.find((spec) => spec.name === name) as (typeof frameSpecs)[number]
    const frames = decodeAny(direction, examples.get(name) as Uint8Array)
    expect(frames.map((frame) => frame.name)).toEqual([name])
    const { name: _, ...fields } = frames[0] as (typeof frames)[number]
    expect(toHex(encodeAny(name, fields))).toBe(toHex(examples.get(name) as Uint8Array))
    return fields as unknown as FrameFields<N>
  }

  test('are four', () => {
    expect([...examples.keys()]).toEqual(['HELLO', 'PUBLISH', 'PUBLISHED', 'DELIVER'])
  })

  test('say HELLO as the golden bytes do', () => {
    expect(read('HELLO')).toEqual(goldenFrames.HELLO.fields)
  })

  test('publish a message with tag and key', () => {
    const { messages, ...fields } = read('PUBLISH')
    expect(fields).toEqual({
      requestId: 2,
      topic: 'orders',
      producerId: fromHex('a1b2c3d4e5f60718'),
      producerEpoch: 0,
      baseSequence: 1,
      messageCount: 1,
      sentMs: 1_795_000_000_050,
    })
    expect(decodeMessage(messages, 0, messages.length)).toEqual({
      headers: { bornMs: 1_795_000_000_000, tag: 'paid', keys: ['order-4711'] },
      sequenceDelta: 0,
      body: textToBytes('{"total":12}'),
    })
    const scanner = new MessageScanner({ bodyBytesMax: 100 })
    scanner.reset(messages, 0, messages.length)
    scanner.next()
    expect(scanner.atEnd).toBe(true)
  })

  test('answer it, and deliver it', () => {
    const { segments, scheduled } = read('PUBLISHED')
    const { record, next, queueId } = read('DELIVER')
    expect(segments).toEqual([{ queueId, epoch: next.epoch, offset: next.offset - 1, count: 1 }])
    expect(scheduled).toEqual([])
    const { messages } = read('PUBLISH')
    const batch = RecordBatch.open(record)
    expect(toHex(batch.messageBytesAt(0))).toBe(toHex(messages))
    const expected = { messageId: 'a1b2c3d4e5f60718-0-1', offset: 1_000, tag: 'paid' }
    expect(batch.messageAt(0, 'orders', queueId)).toMatchObject(expected)
    expect(crc32c(record, 4)).toBe(Buffer.from(record).readUInt32LE(0))
  })

  test('say of their frames and texts what they are', () => {
    for (const [, name, lines] of law.matchAll(/```hex ([A-Z]+)\n([^`]*)```/g)) {
      const spec = frameSpecs.find((frame) => frame.name === name)
      expect(lines).toMatch(new RegExp(`^[0-9a-f]{2} +type ${spec?.type}: ${name}\n`))
      expect(lines).toContain(`${(examples.get(name as string) as Uint8Array).length - 5} bytes`)
      for (const [, hex, text] of (lines as string).matchAll(/^([0-9a-f ]+?) {2,}\w* ?"(\w[^"]*)"$/gm)) {
        expect(Buffer.from(fromHex(hex as string)).toString()).toContain((text as string).slice(0, 7))
      }
    }
  })
})

test('every table and block of PROTOCOL.md is closed, and no line is left from making it', () => {
  expect(law.match(/```/g)?.length ?? 0).toBeGreaterThan(20)
  expect((law.match(/```/g)?.length ?? 0) % 2).toBe(0)
  expect(law).not.toMatch(/\b(TODO|FIXME|TBD|HEX)\b/)
  for (const [, target] of law.matchAll(/\]\(#([^)]*)\)/g)) {
    const anchors = [...law.matchAll(/^## (.*)$/gm)].map(([, title]) =>
      (title as string).toLowerCase().replaceAll(/[^a-z0-9 ]/g, '').replaceAll(' ', '-'))
    expect(anchors).toContain(target)
  }
})

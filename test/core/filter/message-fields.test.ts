// Finding the parts of a message that a filter asks for, without decoding or keeping it.

import { expect, test } from 'vitest'
import { MessageFields } from '../../../core/filter/message-fields.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { recordOf } from '../client/records.ts'

const headers = [{ tag: 't', keys: ['k1', 'k2'], properties: new Map([['a', 'one'], ['b', 'two']]) }, {}]
const record = RecordBatch.view(recordOf(['x', 'y'], { headers }))

function find(fields: MessageFields, index: number): boolean {
  return fields.find(record.bytes, record.messageStart(index), record.messageEnd(index))
}

test('points to values in the record itself, several keys aside', () => {
  const fields = new MessageFields()
  const found = ['a', 'TAGS', 'KEYS', 'c'].map((name) => fields.field(name))
  expect(find(fields, 0)).toBe(true)
  expect(found.map(({ source, start, end }) => start < 0 ? undefined : Buffer.from(source.subarray(start, end)).toString()))
    .toEqual(['one', 't', 'k1 k2', undefined])
  expect(found.map(({ source }) => source === record.bytes)).toEqual([true, true, false, false])
})

test('knows each name once', () => {
  const fields = new MessageFields()
  expect(fields.fieldCount).toBe(0)
  expect(fields.field('a')).toBe(fields.field('a'))
  expect(fields.field('b')).not.toBe(fields.field('a'))
  expect(fields.fieldCount).toBe(2)
})

test('forgets the record, so that an idle filter keeps none in memory', () => {
  const fields = new MessageFields()
  const found = ['a', 'b', 'TAGS', 'KEYS'].map((name) => fields.field(name))
  expect(find(fields, 0)).toBe(true)
  expect(found.every(({ start }) => start >= 0)).toBe(true)
  fields.clear()
  expect(found.map(({ source, start }) => [source.length, start])).toEqual(found.map(() => [0, -1]))
  expect(find(fields, 1)).toBe(true)
  expect(found.map(({ start }) => start)).toEqual([-1, -1, -1, -1])
})

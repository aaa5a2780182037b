// What counts as growing: a slope that lasts, not one high value.

import { expect, test } from 'vitest'
import type { Look, Weight } from './busy-pages.ts'
import { growthsOf } from './growth.ts'

const mebibyte = 2 ** 20
const steady: Weight = { objectBytes: 4 * mebibyte, nodeCount: 300, listenerCount: 20 }

function looksOf(count: number, demoAt: (at: number) => Partial<Weight>): Look[] {
  return Array.from({ length: count }, (_, at) => ({ demo: { ...steady, ...demoAt(at) }, console: steady, engine: steady }))
}

const growing = (looks: readonly Look[]) =>
  growthsOf(looks).filter(({ isFlat }) => !isFlat).map(({ name, unit }) => `${name} ${unit}`)

test('what stays as it is is flat', () => {
  expect(growing(looksOf(20, () => ({})))).toEqual([])
  expect(growthsOf(looksOf(20, () => ({})))[0]).toMatchObject({ typical: 4 * mebibyte, grown: 0 })
})

test('some high values, even at the end, or a fall, are no growth', () => {
  expect(growing(looksOf(20, (at) => ([8, 17, 19].includes(at) ? { objectBytes: 20 * mebibyte } : {})))).toEqual([])
  expect(growing(looksOf(20, (at) => ({ objectBytes: (30 - at) * mebibyte })))).toEqual([])
})

test('a little with every look is growth, of each kind', () => {
  expect(growing(looksOf(20, (at) => ({ objectBytes: (4 + at / 20) * mebibyte })))).toEqual(['demo MiB'])
  expect(growing(looksOf(20, (at) => ({ nodeCount: 300 + 4 * at })))).toEqual(['demo elements'])
  expect(growing(looksOf(20, (at) => ({ listenerCount: 20 + 2 * at })))).toEqual(['demo listeners'])
})

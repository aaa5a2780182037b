// The ordered map beneath the stores in memory, against a plain map and a sort, at sizes where leaves split and join.

import { expect, test } from 'vitest'
import { compareKeys, OrderedMap } from '../../../core/storage/ordered-map.ts'
import { createSimRandom } from '../../sim/sim-random.ts'

const first = new Uint8Array(0)
const end = new Uint8Array(256).fill(0xff)

test.each([1, 2, 3])('agrees with a plain map through random growth and shrinking (seed %i)', (seed) => {
  const random = createSimRandom(seed)
  const map = new OrderedMap()
  const model = new Map<string, Uint8Array>()
  for (let phase = 0; phase < 6; phase++) {
    const deleteChance = phase % 2 === 0 ? 0.2 : 0.7
    for (let count = 0; count < 8_000; count++) {
      const key = Uint8Array.of(random.below(256), random.below(24)).subarray(0, 1 + random.below(2))
      const name = Buffer.from(key).toString('hex')
      if (random.chance(deleteChance)) {
        if (map.delete(key) !== model.get(name)) throw new Error(`deleted another value of ${name}`)
        model.delete(name)
      } else {
        const value = random.bytes(random.below(4))
        if (map.set(key, value) !== model.get(name)) throw new Error(`replaced another value of ${name}`)
        model.set(name, value)
      }
    }
    const names = [...model.keys()].sort()
    const nameOf = ({ key }: { key: Uint8Array }): string => Buffer.from(key).toString('hex')
    expect(map.range({ from: first, to: end }).map(nameOf)).toEqual(names)
    expect(map.range({ from: first, to: end, reverse: true }).map(nameOf)).toEqual(names.toReversed())
    expect(map.size).toBe(model.size)
    expect(map.bytes).toBe([...model].reduce((sum, [name, value]) => sum + name.length / 2 + value.length, 0))
    for (let count = 0; count < 30; count++) {
      const [from, to] = [random.bytes(2), random.bytes(2)]
      const inRange = names.filter((name) => {
        const key = Buffer.from(name, 'hex')
        return compareKeys(key, from) >= 0 && compareKeys(key, to) < 0
      })
      expect(map.range({ from, to }).map(nameOf)).toEqual(inRange)
      expect(map.range({ from, to, reverse: true, countMax: 3 }).map(nameOf)).toEqual(inRange.toReversed().slice(0, 3))
      expect(map.get(from)).toBe(model.get(Buffer.from(from).toString('hex')))
    }
  }
  for (const { key } of map.range({ from: first, to: end })) map.delete(key)
  expect([map.size, map.bytes]).toEqual([0, 0])
})

test('orders by unsigned bytes, and by length where one key begins the other', () => {
  const keys = [[], [0], [0, 0], [0, 255], [1], [127], [128], [255], [255, 0]].map((bytes) => Uint8Array.from(bytes))
  for (const [index, left] of keys.entries()) {
    for (const [other, right] of keys.entries()) {
      expect(Math.sign(compareKeys(left, right))).toBe(Math.sign(index - other))
    }
  }
})

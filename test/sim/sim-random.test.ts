// The seeded generator: it repeats, spreads, and its forks do not move each other.

import { expect, test } from 'vitest'
import { createSimRandom } from './sim-random.ts'

test('the same seed gives the same draws, another seed others', () => {
  const draws = (seed: number): number[] => {
    const random = createSimRandom(seed)
    return Array.from({ length: 20 }, () => random.below(1_000_000))
  }
  expect(draws(42)).toEqual(draws(42))
  expect(draws(42)).not.toEqual(draws(43))
})

test('the sequence is pinned, as seeds of failures are kept', () => {
  const random = createSimRandom(1)
  const numbers = Array.from({ length: 4 }, () => random.below(2 ** 32))
  expect(numbers).toEqual([393288148, 2174103013, 3814759091, 2092745082])
  expect([...random.bytes(4)]).toEqual([111, 129, 191, 170])
})

test('a fork depends on seed and name only', () => {
  const used = createSimRandom(5)
  for (let count = 0; count < 100; count++) used.next()
  expect(used.fork('disk').next()).toBe(createSimRandom(5).fork('disk').next())
  const { fork } = createSimRandom(5)
  const [disk, net] = [fork('disk'), fork('net')]
  const firsts = [disk, net, disk.fork('disk'), disk.fork('net'), net.fork('disk')].map((random) => random.next())
  expect(new Set(firsts).size).toBe(5)
})

test('draws are spread evenly and stay in their bounds', () => {
  const random = createSimRandom(9)
  const counts = new Array<number>(10).fill(0)
  for (let count = 0; count < 100_000; count++) {
    const index = random.below(10)
    counts[index] = (counts[index] ?? 0) + 1
  }
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  for (let count = 0; count < 1_000; count++) {
    const number = random.between(3, 4)
    expect(number >= 3 && number < 4).toBe(true)
  }
  expect(random.chance(0)).toBe(false)
  expect(random.chance(1)).toBe(true)
  expect(() => random.pick([])).toThrow('nothing')
})

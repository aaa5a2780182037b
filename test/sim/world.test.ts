// Worlds from seeds: that they are clean, that a seed repeats its run event by event, and that bugs put into the world
// are found. `npm run sim -- --seed N` replays one, `--seeds K` runs many.

import { describe, expect, test } from 'vitest'
import { faultKinds } from './nemesis.ts'
import { type PlantedBugName, plantedBugs } from './planted-bugs.ts'
import { type Outcome, runWorld } from './world.ts'

const seedCount = 80
const seedsPerTest = 10

/** Seeds that failed once, and what they found. */
const regressions: readonly (readonly [seed: number, found: string])[] = [
  [94, 'a client whose HELLO was held up on its way was closed for good'],
  [112, 'a client whose HELLO was held up on its way was closed for good'],
]

/** What a failed run says. */
function told({ seed, findings, traceTail }: Outcome): string[] {
  if (findings.length === 0) return []
  const violations = findings.flatMap(({ checker, violations }) => violations.map(({ text }) => `${checker}: ${text}`))
  return [`replay: npm run sim -- --seed ${seed}`, ...violations, ...traceTail]
}

describe('a world from a seed keeps every promise', () => {
  const struck = new Set<string>()
  const firsts = Array.from({ length: seedCount / seedsPerTest }, (_, index) => 1 + index * seedsPerTest)

  test.each(firsts)(`seeds from %i on, ${seedsPerTest} of them`, async (first) => {
    for (let seed = first; seed < first + seedsPerTest; seed++) {
      const outcome = await runWorld({ seed })
      expect(told(outcome)).toEqual([])
      for (const kind of outcome.faults.keys()) struck.add(kind)
    }
  })

  test('each kind of fault struck in one of them', () => {
    expect([...struck].sort()).toEqual([...faultKinds].sort())
  })

  test.each(regressions)('seed %i, where %s', async (seed) => {
    expect(told(await runWorld({ seed }))).toEqual([])
  })
})

describe('a seed', () => {
  test('gives the same run every time', async () => {
    for (const seed of [2, 7, 19, 94]) {
      const [first, second] = [await runWorld({ seed }), await runWorld({ seed })]
      expect(second.traceHash).toBe(first.traceHash)
      expect(second.counts).toEqual(first.counts)
    }
  })

  test('gives another run than the next', async () => {
    expect((await runWorld({ seed: 2 })).traceHash).not.toBe((await runWorld({ seed: 3 })).traceHash)
  })
})

describe('a bug put into the world is found', () => {
  const withinSeeds: Readonly<Record<PlantedBugName, number>> = {
    'ack-before-sync': 20,
    'torn-commit': 60,
    'producers-forgotten': 60,
    'leases-forgotten': 20,
    'attempts-forgotten': 60,
    'ack-not-written': 20,
    'queue-state-not-written': 20,
    'frame-repeated': 20,
    'frame-overtakes': 60,
    'frame-swallowed': 20,
  }

  test.each(Object.keys(plantedBugs) as PlantedBugName[])('%s', async (planted) => {
    const checkers: string[] = []
    for (let seed = 1; seed <= withinSeeds[planted] && checkers.length === 0; seed++) {
      const { findings } = await runWorld({ seed, planted })
      checkers.push(...findings.map(({ checker }) => checker))
    }
    expect(checkers).not.toEqual([])
  })
})

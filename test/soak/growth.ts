// Whether something grows: the straight line nearest to what was seen, so that one high value says little.

import type { Look, Weight } from './busy-pages.ts'

/** Less than this share is how heaps breathe, not a leak; of little, less than so much. */
const grownShareMax = 0.05
const slacks = { objectBytes: 256 * 1024, nodeCount: 50, listenerCount: 20 } as const

export interface Growth {
  readonly name: string
  readonly unit: 'MiB' | 'elements' | 'listeners'
  /** The mean. Bytes, where the unit is MiB. */
  readonly typical: number
  /** From the first look to the last, along the line. */
  readonly grown: number
  readonly isFlat: boolean
}

/** Of all that was weighed. */
export function growthsOf(looks: readonly Look[]): readonly Growth[] {
  const growth = (of: keyof Look, what: keyof Weight, unit: Growth['unit']): Growth => {
    const { typical, grown } = lineOf(looks.map((look) => look[of][what]))
    return { name: of, unit, typical, grown, isFlat: grown <= Math.max(slacks[what], typical * grownShareMax) }
  }
  return [
    ...(['demo', 'console'] as const).flatMap((page) => [
      growth(page, 'objectBytes', 'MiB'),
      growth(page, 'nodeCount', 'elements'),
      growth(page, 'listenerCount', 'listeners'),
    ]),
    growth('engine', 'objectBytes', 'MiB'),
  ]
}

function lineOf(values: readonly number[]): Pick<Growth, 'typical' | 'grown'> {
  const middle = (values.length - 1) / 2
  let above = 0
  let below = 0
  let sum = 0
  for (const [at, value] of values.entries()) {
    above += (at - middle) * value
    below += (at - middle) ** 2
    sum += value
  }
  return { typical: sum / values.length, grown: below === 0 ? 0 : above / below * (values.length - 1) }
}

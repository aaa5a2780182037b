// Whether something grows: by the median of the slopes between any two looks, so that a few high values say nothing.

import { median } from '../bench/stats.ts'
import type { Look, Weight } from './busy-pages.ts'

/** Less than this share is how heaps breathe, not a leak; of little, less than so much. */
const grownShareMax = 0.05
const slacks = { objectBytes: 256 * 1024, nodeCount: 50, listenerCount: 20 } as const

export interface Growth {
  readonly name: string
  readonly unit: 'MiB' | 'elements' | 'listeners'
  /** The median. Bytes, where the unit is MiB. */
  readonly typical: number
  /** From the first look to the last, at that slope. */
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
  const slopes = values.flatMap((value, at) => values.slice(0, at).map((earlier, from) => (value - earlier) / (at - from)))
  return { typical: median(values), grown: slopes.length === 0 ? 0 : median(slopes) * (values.length - 1) }
}

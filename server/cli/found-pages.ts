// Stored messages page by page, as the relay answers: each page goes on behind the last of the one before.

import type { StoredPlace } from '../../core/client/admin-api.ts'
import { fixedLimits } from '../../core/limits.ts'

/** As many as are asked for where nothing is said of it. */
export const findCountDefault = 64

export interface FoundPage {
  readonly max: number
  readonly after?: StoredPlace
}

/** The first `max` of what `ask` finds. */
export async function findPages<T extends StoredPlace>(
  max: number, ask: (page: FoundPage) => Promise<readonly T[]>,
): Promise<T[]> {
  const found: T[] = []
  while (found.length < max) {
    const last = found.at(-1)
    const some = await ask({
      max: Math.min(max - found.length, fixedLimits.queryCountMax), ...(last === undefined ? {} : { after: last }),
    })
    if (some.length === 0) break
    found.push(...some)
  }
  return found
}

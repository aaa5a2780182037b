// What a page downloads stays within the bounds that are written down in tools/size.mjs.

import { expect, test } from 'vitest'
import { measureSizes, sizeBounds } from '../../tools/size.mjs'

test('every door is within its bound, and no bound is far above what it holds', async () => {
  const sizes = await measureSizes()
  expect(Object.keys(sizes).sort()).toEqual(Object.keys(sizeBounds).sort())
  for (const [door, bound] of Object.entries(sizeBounds)) {
    const gzipKib = (sizes[door]?.gzip ?? 0) / 1024
    expect(gzipKib, door).toBeLessThanOrEqual(bound)
    expect(gzipKib, door).toBeGreaterThan(bound * 0.6 - 0.5)
  }
})

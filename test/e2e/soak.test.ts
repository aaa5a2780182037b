// The soak still runs: both pages at work for some seconds, and looked at. Whether something grows takes minutes to say.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensurePagesBuilt } from '../../tools/build.mjs'
import { growthsOf } from '../soak/growth.ts'
import { runSoak } from '../soak/run.ts'

test('the soak keeps both pages busy, and weighs them', { timeout: 120_000 }, async () => {
  ensurePagesBuilt()
  const dataFolder = mkdtempSync(join(tmpdir(), 'pocketmq-soak-'))
  try {
    const { looks, packedCount } = await runSoak({
      warmupMs: 1_000, measuredMs: 8_000, everyMs: 2_000, dataFolder, onProgress: () => {},
    })
    expect(packedCount).toBeGreaterThan(0)
    expect(looks.length).toBeGreaterThan(1)
    for (const { name, typical } of growthsOf(looks)) expect(typical, name).toBeGreaterThan(0)
  } finally {
    rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 })
  }
})

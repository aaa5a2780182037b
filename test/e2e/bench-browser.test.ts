// The browser's benchmark still runs: every scenario once, with a handful of messages each. What it measures here is no
// figure; that it measures something is.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { servePages, type ServedPages } from '../bench-browser/pages.ts'
import { formatReport } from '../bench-browser/report.ts'
import { runAll } from '../bench-browser/run.ts'
import { tinyPace } from '../bench-browser/scenario.ts'
import { scenarios } from '../bench-browser/scenarios/index.ts'
import { judgeTargets } from '../bench-browser/targets.ts'
import { describeMachine } from '../bench/machine.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'pocketmq-bench-'))
let pages: ServedPages

beforeAll(async () => {
  pages = await servePages(root, join(folder, 'pages'))
})
afterAll(async () => {
  await pages.close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

test('the benchmark of the browser measures every case, names the backend and judges its targets', async () => {
  const outcome = await runAll({
    pace: tinyPace, scenarios, pageUrl: pages.url, dataFolder: folder, isShared: true, onProgress: () => {},
  })
  expect(outcome.results.flatMap(({ failures }) => failures)).toEqual([])
  expect(outcome.backend).toMatch(/^(LevelDB|SQLite)$/)
  for (const { figures } of outcome.results) {
    const values = Object.values(figures)
    expect(values.length).toBeGreaterThan(0)
    expect(values.every(Number.isFinite)).toBe(true)
  }
  const targets = judgeTargets(outcome.results, tinyPace)
  expect(targets.map(({ target }) => target)).toContain('tab to tab: p99 of 10 ms')
  const report = formatReport({ ...outcome, machine: describeMachine(), scenarios, targets, notes: [] })
  expect(report).toContain(`IndexedDB on ${outcome.backend}`)
})

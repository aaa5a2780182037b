// The bench as a program, with the systems that need no server and nothing installed.

import { describe, expect, test } from 'vitest'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { promisify } from 'node:util'
import { tmpdir } from 'node:os'

import { findProjectFolder } from './project.ts'

const run = promisify(execFile)

describe('npm run bench', () => {
  test('measures, prints a table, writes JSON and leaves no data behind', { timeout: 60_000 }, async () => {
    const { stdout, json, files } = await bench('--only', 'light-load', '--systems', 'ws,disk')
    expect(stdout).toContain('bare ws')
    expect(stdout).toContain('append + fdatasync')
    expect(json).toMatchObject({ format: 'pocketmq-bench-1', results: [{ system: 'ws' }, { system: 'disk' }] })
    for (const { figures, failures } of json.results) {
      expect(failures).toEqual([])
      expect(figures.p50Ms).toBeGreaterThan(0)
    }
    expect(files).toEqual(['out.json'])
  })

  test('measures delayed messages and filters without a server', { timeout: 60_000 }, async () => {
    const { stdout, json } = await bench('--only', 'delayed,filter-cost', '--systems', 'lmdb,in-process')
    expect(stdout).toContain('late p99 ms')
    expect(stdout).toContain('SQL µs/msg')
    expect(json).toMatchObject({
      results: [{ scenario: 'delayed', failures: [] }, { scenario: 'filter-cost', failures: [] }],
      targets: [{ target: expect.stringContaining('tag') }, { target: expect.stringContaining('SQL') }],
    })
    const [delayed, filters] = json.results
    for (const name of ['scheduledPerSecond', 'scheduleMicros', 'firedPerSecond', 'fireMicros', 'rssMib']) {
      expect(delayed.figures[name]).toBeGreaterThan(0)
    }
    expect(delayed.figures.lateP99Ms).toBeGreaterThanOrEqual(delayed.figures.lateP50Ms)
    expect(filters.figures.tagMicros).toBeGreaterThan(0)
    expect(filters.figures.sqlMicros).toBeGreaterThan(0)
  })
})

async function bench(...args: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-test-'))
  const jsonFile = join(folder, 'out.json')
  try {
    // A temporary folder of its own: other benches may be running.
    const options = { cwd: findProjectFolder(), env: { ...process.env, TMPDIR: folder } }
    const program = ['tools/run.mjs', 'test/bench/bench.ts', '--quick', ...args, '--json', jsonFile]
    const { stdout } = await run(process.execPath, program, options)
    return { stdout, json: JSON.parse(readFileSync(jsonFile, 'utf8')), files: readdirSync(folder) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

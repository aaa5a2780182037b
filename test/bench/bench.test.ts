// The bench as a program, with the two systems that need nothing installed.

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
    const folder = mkdtempSync(join(tmpdir(), 'bench-test-'))
    const jsonFile = join(folder, 'out.json')
    const args = ['--quick', '--only', 'light-load', '--systems', 'ws,disk', '--json', jsonFile]
    try {
      // A temporary folder of its own: other benches may be running.
      const options = { cwd: findProjectFolder(), env: { ...process.env, TMPDIR: folder } }
      const program = ['tools/run.mjs', 'test/bench/bench.ts']
      const { stdout } = await run(process.execPath, [...program, ...args], options)
      expect(stdout).toContain('bare ws')
      expect(stdout).toContain('append + fdatasync')
      const json = JSON.parse(readFileSync(jsonFile, 'utf8'))
      expect(json).toMatchObject({ format: 'pocketmq-bench-1', results: [{ system: 'ws' }, { system: 'disk' }] })
      for (const { figures, failures } of json.results) {
        expect(failures).toEqual([])
        expect(figures.p50Ms).toBeGreaterThan(0)
      }
      expect(readdirSync(folder)).toEqual(['out.json'])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

// What the README shows is what happens: its example and its tour of the command line run against a relay, and its
// table of settings is the relay's.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { formatSettingsTable } from '../../server/settings.ts'
import { RelayProcess } from '../support/relay-process.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')

/** What stands between `<!-- name … -->` and `<!-- /name -->`. */
function sectionOf(name: string): string {
  const match = new RegExp(`<!-- ${name}\\b[^>]*-->\\n(.*?)<!-- /${name} -->`, 's').exec(readme)
  if (match === null) throw new Error(`the README has no section ${name}`)
  return match[1] as string
}

/** Code blocks of a language. */
function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map((match) => match[1] as string)
}

async function run(command: string, args: readonly string[]): Promise<{ output: string; exitCode: number | null }> {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { output, exitCode }
}

describe('the example', () => {
  test('runs as it stands, within 20 lines', async () => {
    const [example = ''] = blocksOf(sectionOf('example'), 'ts')
    expect(example.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(20)
    await using relay = await RelayProcess.start()
    const source = example
      .replace("'pocketmq'", JSON.stringify(join(root, 'server', 'connect.ts')))
      .replace('ws://127.0.0.1:7600', relay.url)
    const folder = join(root, 'node_modules', '.cache', 'pocketmq', 'readme')
    // The runner keeps bundles by name, so the name must say what is in it.
    const file = join(folder, `example-${createHash('sha256').update(source).digest('hex').slice(0, 16)}.ts`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, source)
    const { output, exitCode } = await run(process.execPath, [join(root, 'tools', 'run.mjs'), file])
    expect(output).toMatch(/^(synced: queue \d, offset \d\n){3}anna paid 50\n$/)
    expect(exitCode).toBe(0)
  })
})

describe('the tour', () => {
  const blocks = blocksOf(sectionOf('tour'), 'console')

  // Each command is a process of its own.
  test('prints what the commands print', { timeout: 120_000 }, async () => {
    expect(blocks.length).toBeGreaterThan(0)
    await using relay = await RelayProcess.start()
    const program = `"${process.execPath}" tools/run.mjs server/main.ts "$@" 2>&1`
    const shell = `export POCKETMQ_URL=${relay.url} TZ=${zoneAtNoon()}; pocketmq() { ${program}; }`
    for (const { command, output } of blocks.flatMap(stepsOf)) {
      const result = await run('sh', ['-c', `${shell}\n${command}`])
      expect(`$ ${command}\n${withoutChance(result.output)}`).toBe(`$ ${command}\n${withoutChance(output)}`)
    }
  })
})

describe('the table of settings', () => {
  test('is the relay’s own', () => {
    expect(sectionOf('settings')).toBe(formatSettingsTable())
  })
})

/** `$ command` and what follows it. */
function stepsOf(block: string): { command: string; output: string }[] {
  return block.split(/^\$ /m).slice(1).map((step) => {
    const lineEnd = step.indexOf('\n')
    return { command: step.slice(0, lineEnd), output: step.slice(lineEnd + 1) }
  })
}

/** A time zone where it is noon: what is due in an hour is due today, and today's times are shown without their day. */
function zoneAtNoon(): string {
  const ahead = 12 - new Date().getUTCHours()
  // The names of these zones count westwards.
  return ahead < 0 ? `Etc/GMT+${-ahead}` : `Etc/GMT-${ahead}`
}

/** Ids, times and epochs differ from run to run; tables stay as wide. */
function withoutChance(output: string): string {
  return output
    .replaceAll(/[0-9a-f]{16}-\d+-\d+/g, '<message id>')
    .replaceAll(/\d\d:\d\d:\d\d\.\d{3}/g, '<time>')
    .replaceAll(/"epoch":\d+/g, '"epoch":<epoch>')
    .replaceAll(/\b[0-9a-f]{16}\b/g, '<client id>')
    .replaceAll(/\b[0-9a-z]{8}~/g, '<due>~')
    .replaceAll(/\d+\.\d (delivered|acked)\/s/g, '<rate> $1/s')
    .replaceAll(/\b\d+m?s, the age/g, '<lag>, the age')
    .replaceAll(/\b\d+(ms|s) +(?=(1|-) )/g, '<took>  ')
    .trimEnd()
}

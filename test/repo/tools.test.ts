// The tools that run before there is anything else: when is node_modules good enough, what does CI count, and does a
// program run from its source keep its arguments, exit code, signals and place.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findChromium, findFirefox } from '../../tools/browsers.mjs'
import { ensureBrowser, installWays } from '../../tools/ensure-browser.mjs'
import { isInstalled, isNodeNewEnough } from '../../tools/ensure-installed.mjs'
import { root } from './source.ts'

let place: string

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'pocketmq-tools-'))
})

afterEach(() => rmSync(place, { recursive: true, force: true }))

describe('the installation', () => {
  type Packages = Readonly<Record<string, { readonly version: string; readonly optional?: boolean }>>

  const locked: Packages = {
    '': { version: '0.1.0' },
    'node_modules/ws': { version: '8.0.0' },
    'node_modules/fsevents': { version: '2.0.0', optional: true },
  }

  function install(packages: Packages): void {
    writeFileSync(join(place, 'package-lock.json'), JSON.stringify({ packages: locked }))
    for (const path of Object.keys(packages)) {
      mkdirSync(join(place, path), { recursive: true })
      writeFileSync(join(place, path, 'package.json'), '{}')
    }
    writeFileSync(join(place, 'node_modules/.package-lock.json'), JSON.stringify({ packages }))
  }

  test('is good without the packages of other platforms', () => {
    install({ 'node_modules/ws': { version: '8.0.0' } })
    expect(isInstalled(place)).toBe(true)
  })

  test('is not good without node_modules', () => {
    writeFileSync(join(place, 'package-lock.json'), JSON.stringify({ packages: locked }))
    expect(isInstalled(place)).toBe(false)
  })

  test('is not good when a package is missing, of another version, or recorded and gone', () => {
    install({ 'node_modules/fsevents': { version: '2.0.0', optional: true } })
    expect(isInstalled(place)).toBe(false)
    install({ 'node_modules/ws': { version: '8.0.1' } })
    expect(isInstalled(place)).toBe(false)
    install({ 'node_modules/ws': { version: '8.0.0' } })
    rmSync(join(place, 'node_modules/ws'), { recursive: true })
    expect(isInstalled(place)).toBe(false)
  })

  test('wants Node 20.19 or newer', () => {
    expect(['20.19.0', '20.20.2', '22.0.0', '100.1.0'].filter(isNodeNewEnough)).toHaveLength(4)
    expect(['20.18.9', '18.20.0', '9.99.0'].filter(isNodeNewEnough)).toEqual([])
  })
})

describe('the browser of the tests', () => {
  const machine = (programs: readonly string[], env: Readonly<Record<string, string>> = {}, platform = 'linux') => ({
    env: { PATH: ['/usr/local/bin', '/usr/bin'].join(delimiter), ...env },
    platform,
    isProgram: (path: string) => programs.includes(path.replaceAll('\\', '/')),
    playwrightChromium: () => '/cache/chrome',
  })

  test('is the one that POCKETMQ_CHROMIUM names, and no other where that is none', () => {
    const env = { POCKETMQ_CHROMIUM: '/opt/edge', POCKETMQ_FIREFOX: '/opt/fox' }
    expect(findChromium(machine(['/opt/edge', '/usr/bin/chromium'], env))).toBe('/opt/edge')
    expect(findChromium(machine(['/usr/bin/chromium'], env))).toBeUndefined()
    expect(findFirefox(machine(['/opt/fox', '/usr/bin/firefox'], env))).toBe('/opt/fox')
    expect(findFirefox(machine(['/usr/bin/firefox'], env))).toBeUndefined()
  })

  test("is else one of the system, else Playwright's own, else none", () => {
    expect(findChromium(machine(['/usr/bin/google-chrome', '/cache/chrome']))).toBe(join('/usr/bin', 'google-chrome'))
    expect(findChromium(machine(['/Applications/Chromium.app/Contents/MacOS/Chromium'], {}, 'darwin')))
      .toBe('/Applications/Chromium.app/Contents/MacOS/Chromium')
    expect(findChromium(machine(['/cache/chrome']))).toBe('/cache/chrome')
    expect(findChromium(machine([]))).toBeUndefined()
    expect(findFirefox(machine(['/usr/bin/firefox-esr', '/usr/bin/firefox']))).toBe(join('/usr/bin', 'firefox-esr'))
    expect(findFirefox(machine(['/usr/bin/chromium']))).toBeUndefined()
  })

  /** What `ensureBrowser` does on a machine where only `working`, a command's beginning, brings a browser. */
  function ensure(working: string | null, env: Readonly<Record<string, string>> = {}, present?: string) {
    const ran: string[] = []
    let found = present
    let given: string
    try {
      given = ensureBrowser({
        env,
        find: () => found,
        run: (command) => {
          const line = command.join(' ')
          ran.push(line)
          if (working === null || !line.includes(working)) return false
          found = '/installed/chromium'
          return true
        },
        giveUp: (message) => {
          throw new Error(message)
        },
      })
    } catch (error) {
      given = (error as Error).message
    }
    return { ran, given }
  }

  test('is not installed where there is one', () => {
    expect(ensure(null, {}, '/usr/bin/chromium')).toEqual({ ran: [], given: '/usr/bin/chromium' })
  })

  test('is installed where there is none', () => {
    const { ran, given } = ensure('playwright')
    expect(given).toBe('/installed/chromium')
    expect(ran.at(-1)).toMatch(/playwright.cli\.js install.* chromium$/)
  })

  test("comes from Debian's packages for root on Debian, before Playwright's", () => {
    const commandsOf = (machine: { isRoot: boolean; isDebian: boolean }) =>
      installWays(machine).map(({ commands }) => commands.map((command) => command.join(' ')).join(' && '))
    expect(commandsOf({ isRoot: true, isDebian: true })).toEqual([
      'apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium',
      expect.stringMatching(/install --with-deps chromium$/),
    ])
    expect(commandsOf({ isRoot: false, isDebian: true })).toEqual([expect.stringMatching(/install chromium$/)])
  })

  test('is asked for in clear words where none can be installed', () => {
    expect(ensure(null).given).toMatch(/none could be installed.*set POCKETMQ_CHROMIUM/)
    expect(ensure(null, { POCKETMQ_CHROMIUM: '/nowhere' })).toEqual({
      ran: [], given: expect.stringMatching(/^POCKETMQ_CHROMIUM is \/nowhere, which is no program/) as string,
    })
  })
})

describe('the closing line of CI', () => {
  const passed = { status: 'passed' }
  const failed = { status: 'failed' }

  function summarise(report: string): { readonly printed: string; readonly status: number | null } {
    const path = join(place, 'report.json')
    writeFileSync(path, report)
    const result = spawnSync(process.execPath, [join(root, 'tools/test-summary.mjs'), path], { encoding: 'utf8' })
    return { printed: result.stdout, status: result.status }
  }

  test.each([
    [[{ status: 'passed', assertionResults: [passed, passed, { status: 'skipped' }] }], '2 passed, 0 failed\n', 0],
    [[{ status: 'failed', assertionResults: [passed, failed] }], '1 passed, 1 failed\n', 1],
    [[{ status: 'passed', assertionResults: [passed] }, { status: 'failed', assertionResults: [] }],
      '1 passed, 1 failed\n', 1],
    [[], '0 passed, 0 failed\n', 1],
  ])('counts %j', (testResults, printed, status) => {
    expect(summarise(JSON.stringify({ testResults }))).toEqual({ printed, status })
  })

  test('counts a runner that broke as a failure', () => {
    expect(summarise('{ "testRes')).toEqual({ printed: '0 passed, 1 failed\n', status: 1 })
  })
})

describe('a program run from its source', () => {
  const runner = join(root, 'tools/run.mjs')

  /** A program in a directory of its own: the bundle of each is kept apart by its path. */
  function write(...lines: readonly string[]): string {
    const path = join(place, 'program.ts')
    writeFileSync(path, lines.join('\n'))
    return path
  }

  test('gets its arguments, knows its place, and ends with its own exit code', () => {
    const program = write(
      'interface Story { readonly args: readonly string[]; readonly url: string }',
      'const story: Story = { args: process.argv.slice(1), url: import.meta.url }',
      'console.log(JSON.stringify(story))',
      'process.exitCode = 7',
    )
    const result = spawnSync(process.execPath, [runner, program, '--port', '1', 'a b'], { encoding: 'utf8' })
    expect(result.stderr).toBe('')
    expect(JSON.parse(result.stdout)).toEqual({ args: [program, '--port', '1', 'a b'], url: `file://${program}` })
    expect(result.status).toBe(7)
  })

  test('shows the lines of its source in a stack', () => {
    const program = write('type Nothing = never', '', "throw new Error('on line 3')")
    const result = spawnSync(process.execPath, [runner, program], { encoding: 'utf8' })
    expect(result.stderr).toContain(`${program}:3`)
    expect(result.status).toBe(1)
  })

  test('says what is wrong with a file that is missing or does not parse', () => {
    const missing = spawnSync(process.execPath, [runner, join(place, 'missing.ts')], { encoding: 'utf8' })
    expect(missing.stderr).toContain('no such file')
    expect(missing.status).toBe(1)
    const broken = spawnSync(process.execPath, [runner, write('const = 1')], { encoding: 'utf8' })
    expect(broken.stderr).toContain('could not bundle')
    expect(broken.status).toBe(1)
  })

  test('gets the signals of its process', async () => {
    const program = write(
      "process.on('SIGTERM', () => { console.log('drained'); process.exit(3) })",
      "setInterval(() => {}, 1000)",
      "console.log('ready')",
    )
    const child = spawn(process.execPath, [runner, program], { stdio: ['ignore', 'pipe', 'inherit'] })
    const printed: string[] = []
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed.push(text)
      if (text.includes('ready')) child.kill('SIGTERM')
    })
    expect(await once(child, 'exit')).toEqual([3, null])
    expect(printed.join('')).toBe('ready\ndrained\n')
  })
})

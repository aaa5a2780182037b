// Packs the package as a release would and uses it as a stranger would: what is in it, what its doors give at run
// time, what their types say to a strict compiler. Works on a copy of the tree, so that the dist/ of a relay that
// runs meanwhile stays as it is. Nothing is downloaded: the stranger's dependencies are ours, linked.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { parseAst } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from './source.ts'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

const manifest = readJson(join(root, 'package.json')) as Manifest

/** What a release is made from. */
const releaseFiles = [
  '.npmrc', 'CHANGELOG.md', 'LICENSE', 'PROTOCOL.md', 'README.md', 'core', 'demo', 'package-lock.json', 'package.json',
  'server', 'tools', 'tsconfig.base.json', 'tsconfig.build.json', 'vite.config.ts', 'web-client',
]

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** What the program printed; throws with all of its output when it failed. */
function run(directory: string, program: string, ...args: readonly string[]): string {
  try {
    return execFileSync(program, args, { cwd: directory, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}\n${stderr}`, { cause: error })
  }
}

describe('the manifest and the lockfile', () => {
  test('name exact versions only', () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    expect(versions.length).toBeGreaterThan(10)
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  test('record a checksum for every package, and no download address', () => {
    const text = readFileSync(join(root, 'package-lock.json'), 'utf8')
    expect(text).not.toMatch(/"resolved":\s*"|https?:\/\/[^"]*\.tgz/)
    const { packages } = JSON.parse(text) as { readonly packages: Readonly<Record<string, { integrity?: string }>> }
    const unchecked = Object.entries(packages).filter(([path, entry]) => path !== '' && entry.integrity === undefined)
    expect(unchecked.map(([path]) => path)).toEqual([])
  })

  test('agree on every platform: what an optional dependency names is in the lockfile', () => {
    const { packages } = readJson(join(root, 'package-lock.json')) as {
      readonly packages: Readonly<Record<string, { optionalDependencies?: Readonly<Record<string, string>> }>>
    }
    const missing = Object.entries(packages).flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {})
        .filter((name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages)))
    expect(missing).toEqual([])
  })
})

/** What a module imports, whenever that is. */
function importsOf(code: string): string[] {
  const atOnce = parseAst(code).body.flatMap((node) => ('source' in node && node.source !== null ? [node.source.value] : []))
  return [...atOnce, ...Array.from(code.matchAll(/\bimport\(["'`]([^"'`]*)["'`]\)/g), (match) => match[1] as string)]
}

describe('the packed package', () => {
  const place = mkdtempSync(join(tmpdir(), 'pocketmq-package-'))
  const consumer = join(place, 'consumer')
  const installed = join(consumer, 'node_modules', manifest.name)
  let packed: Packed

  beforeAll(() => {
    const copy = join(place, 'copy')
    mkdirSync(copy)
    for (const name of releaseFiles) cpSync(join(root, name), join(copy, name), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'dir')
    // The lifecycle script builds; its output must not mix with the report, so the report is asked for afterwards.
    run(copy, 'npm', 'run', 'prepack')
    const report = run(copy, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', place)
    packed = (JSON.parse(report) as readonly [Packed])[0]

    mkdirSync(installed, { recursive: true })
    run(place, 'tar', '-xzf', packed.filename, '--strip-components=1', '-C', installed)
    for (const name of [...Object.keys(manifest.dependencies), 'react', '@types/node', '@types/react', 'csstype']) {
      const link = join(consumer, 'node_modules', name)
      mkdirSync(join(link, '..'), { recursive: true })
      symlinkSync(join(root, 'node_modules', name), link, 'dir')
    }
    writeFileSync(join(consumer, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }')
  }, 120_000)

  afterAll(() => rmSync(place, { recursive: true, force: true }))

  test('holds the build, its declarations and the papers, and nothing else', () => {
    const paths = packed.files.map((file) => file.path)
    expect(paths).toEqual(expect.arrayContaining([
      'CHANGELOG.md', 'LICENSE', 'PROTOCOL.md', 'README.md', 'package.json',
      'dist/cli.js', 'dist/connect.js', 'dist/server.js', 'dist/core.js',
      'dist/types/core/index.d.ts', 'dist/types/server/connect.d.ts', 'dist/types/server/index.d.ts',
      'dist/web/index.js', 'dist/web/react.js', 'dist/web/handled.js', 'dist/web/worker.js',
      'dist/types/web-client/index.d.ts', 'dist/types/web-client/react.d.ts', 'dist/types/web-client/handled-messages.d.ts',
    ]))
    const expected = /^((CHANGELOG|PROTOCOL|README)\.md|LICENSE|package\.json|dist\/.*\.(js|js\.map|d\.ts)|dist\/pages\/.*)$/
    expect(paths.filter((path) => !expected.test(path))).toEqual([])
  })

  test('has every file that its manifest points to', () => {
    const targets = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : [entry.types, entry.default])
    for (const target of [...targets, ...Object.values(manifest.bin)]) {
      expect(existsSync(join(installed, target)), target).toBe(true)
    }
  })

  test('has doors that the tools of others find nothing wrong with', async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true })
    expect(pkg).toMatchObject({ name: manifest.name })
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([])
  })

  test('gives its doors at run time', () => {
    writeFileSync(join(consumer, 'main.js'), [
      "import { connect } from 'pocketmq'",
      "import * as server from 'pocketmq/server'",
      "import { PocketError } from 'pocketmq/core'",
      "import manifest from 'pocketmq/package.json' with { type: 'json' }",
      'const { version } = manifest',
      'console.log(JSON.stringify({',
      '  version, connect: typeof connect, server: Object.keys(server).length > 0,',
      '  sameError: PocketError.prototype instanceof Error,',
      '}))',
    ].join('\n'))
    const printed = run(consumer, process.execPath, '--no-warnings', 'main.js')
    expect(JSON.parse(printed)).toEqual({
      version: manifest.version, connect: 'function', server: true, sameError: true,
    })
  })

  test('can be imported where pages are rendered, and touches nothing of a browser', () => {
    writeFileSync(join(consumer, 'render.js'), [
      // Node has some of these itself, and would hide that they are asked for.
      "const names = ['window', 'document', 'location', 'navigator', 'indexedDB', 'SharedWorker', 'Worker', 'BroadcastChannel',",
      "  'MessageChannel', 'caches', 'localStorage', 'WebSocket', 'crypto', 'addEventListener', 'requestAnimationFrame', 'self']",
      'const touched = []',
      'for (const name of names) {',
      '  Object.defineProperty(globalThis, name, { configurable: true, get: () => { touched.push(name) } })',
      '}',
      "const web = await import('pocketmq/web')",
      "const react = await import('pocketmq/react')",
      "const handled = await import('pocketmq/handled')",
      'console.log(JSON.stringify({ touched, doors: [web, react, handled].map((door) => Object.keys(door)) }))',
    ].join('\n'))
    expect(JSON.parse(run(consumer, process.execPath, '--no-warnings', 'render.js'))).toEqual({
      touched: [],
      doors: [
        ['PocketError', 'bytes', 'connect', 'json', 'text'], ['useMessages', 'useStatus'], ['createHandledStore', 'handleOnce'],
      ],
    })
  })

  const readWeb = (name: string): string => readFileSync(join(installed, 'dist/web', name), 'utf8')

  test('has the engine in one file, and names it as bundlers want to read it', () => {
    for (const kind of ['SharedWorker', 'Worker']) {
      expect(readWeb('index.js')).toMatch(
        new RegExp(`new ${kind}\\(new URL\\("\\./worker\\.js", import\\.meta\\.url\\), \\{\\s+type: "module"`),
      )
    }
    const files = ['index.js', 'react.js', 'handled.js', 'worker.js', 'inline.js']
    expect(Object.fromEntries(files.map((name) => [name, importsOf(readWeb(name))]))).toEqual({
      'index.js': ['./inline.js'], 'react.js': ['react'], 'handled.js': [], 'worker.js': [], 'inline.js': [],
    })
  })

  test('has one build of page and engine, which tell it to each other', () => {
    const builds = ['index.js', 'worker.js', 'inline.js']
      .map((name) => /\b\d+\.\d+\.\d+\+[0-9a-f]{12}\b/.exec(readWeb(name))?.[0])
    expect(new Set(builds).size).toBe(1)
    expect(builds[0]?.startsWith(`${manifest.version}+`)).toBe(true)
  })

  test('keeps what is not a door closed', () => {
    writeFileSync(join(consumer, 'inside.js'), "import 'pocketmq/dist/cli.js'")
    expect(() => run(consumer, process.execPath, 'inside.js')).toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  test('is a command that knows its version', () => {
    expect(run(consumer, process.execPath, join(installed, 'dist/cli.js'), '--version').trim()).toBe(manifest.version)
    expect(readFileSync(join(installed, 'dist/cli.js'), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
  })

  /** Compiles `lines` as the consumer's only source, with every declaration of the package checked too. */
  function compile(lines: readonly string[], options: object): string {
    writeFileSync(join(consumer, 'main.ts'), lines.join('\n'))
    writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        target: 'ES2023', strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
        verbatimModuleSyntax: true, noEmit: true, skipLibCheck: false, ...options,
      },
      files: ['main.ts'],
    }))
    return run(consumer, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', consumer)
  }

  const notAny = 'type NotAny<T> = 0 extends 1 & T ? never : true'

  test.each([
    ['of Node', { module: 'NodeNext' }],
    ['of bundlers', { module: 'ESNext', moduleResolution: 'Bundler' }],
  ])('has types for the resolution %s', (_, resolution) => {
    const lines = [
      "import { connect } from 'pocketmq'",
      "import * as server from 'pocketmq/server'",
      "import { PocketError } from 'pocketmq/core'",
      notAny,
      'export const checks: readonly [NotAny<typeof connect>, NotAny<typeof server>, NotAny<PocketError>] =',
      '  [true, true, true]',
      "export async function open(url: string): Promise<void> {",
      '  await using client = await connect(url)',
      '  const known: NotAny<typeof client> = true',
      '  void known',
      '}',
      'export const codeOf = (error: unknown): string => (error instanceof PocketError ? error.code : "")',
    ]
    const options = { ...resolution, types: ['node'], lib: ['ES2023', 'ESNext.Disposable'] }
    expect(compile(lines, options)).toBe('')
    expect(() => compile([...lines, 'export const wrong: number = connect'], options)).toThrow('TS2322')
  }, 60_000)

  test.each([
    ['of Node', { module: 'NodeNext' }],
    ['of bundlers', { module: 'ESNext', moduleResolution: 'Bundler' }],
  ])('has types for pages, without those of Node, by the resolution %s', (_, resolution) => {
    const lines = [
      "import { connect, json, PocketError, type WebClient, type WebMessage } from 'pocketmq/web'",
      "import { useMessages, useStatus } from 'pocketmq/react'",
      "import { createHandledStore, handleOnce } from 'pocketmq/handled'",
      // As the file of an application's own worker does.
      "import 'pocketmq/worker'",
      notAny,
      'interface Order { readonly total: number }',
      'export const checks: readonly NotAny<typeof connect>[] = [true]',
      'export const handled: readonly [NotAny<typeof handleOnce>, NotAny<typeof createHandledStore>] = [true, true]',
      'export async function open(): Promise<number> {',
      "  await using client = await connect('wss://relay.example', { host: 'auto' })",
      "  const orders = client.topic('orders', { codec: json<Order>() })",
      '  const known: NotAny<WebClient> = true',
      '  void known',
      "  for await (const message of orders.consume({ group: 'till' })) return message.value.total",
      '  return 0',
      '}',
      'export function Orders(client: WebClient): readonly WebMessage<Order>[] {',
      '  const host: string | undefined = useStatus(client).host',
      '  void host',
      "  return useMessages(client.topic<Order>('orders'), { group: 'screen' }).messages",
      '}',
      'export const codeOf = (error: unknown): string => (error instanceof PocketError ? error.code : "")',
    ]
    const options = { ...resolution, types: [], lib: ['ES2023', 'ESNext.Disposable', 'DOM'] }
    expect(compile(lines, options)).toBe('')
    const wrong = "export const wrong = (client: WebClient) => client.topic<Order>('orders').send({ sum: 1 })"
    expect(() => compile([...lines, wrong], options)).toThrow('TS2353')
  }, 60_000)

  test('has a core whose types need no Node', () => {
    const lines = [
      "import { PocketError } from 'pocketmq/core'",
      notAny,
      'export const check: NotAny<PocketError> = true',
    ]
    const options = { module: 'ESNext', moduleResolution: 'Bundler', types: [] }
    expect(compile(lines, { ...options, lib: ['ES2023', 'ESNext.Disposable', 'DOM'] })).toBe('')
  }, 60_000)
})

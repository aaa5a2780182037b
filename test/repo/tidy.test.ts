// Reads the repository's own sources and proves the house rules: the arrows of import, no cycles, no dead files, no
// uncertainty in core that is not injected, and a tidy text. First the rules are shown bad sources, so that each of
// them is known to be able to fail.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkArrows, checkCycles, checkDeadFiles, checkTargets, type Violation } from './import-rules.ts'
import {
  checkComments, checkCoreBans, checkHeader, checkNamedExports, checkPath, checkSizes, checkTests,
} from './source-rules.ts'
import { parseSource, readSources, root, type Source } from './source.ts'

/** What a user has: what is installed beside the package, and what the package is used with. */
const { dependencies: installed, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: object
  peerDependencies: object
}
const dependencies = Object.keys({ ...installed, ...peerDependencies })

/** A file that is there only for this test. */
function source(path: string, ...lines: string[]): Source {
  return parseSource(path, `${lines.join('\n')}\n`)
}

describe('the repository', () => {
  const product = readSources(['core', 'server', 'web-client', 'demo'])
  const modules = [...product, ...readSources(['test'])]
  const everything = [...modules, ...readSources(['tools', 'vite.config.ts'])]
  const entries = [
    'core/index.ts', 'server/connect.ts', 'server/index.ts', 'server/main.ts',
    'web-client/index.ts', 'web-client/worker.ts', 'web-client/react.ts', 'web-client/handled-messages.ts',
  ]

  test('is read whole', () => {
    const paths = everything.map((file) => file.path)
    expect(paths).toEqual(expect.arrayContaining(['core/errors.ts', 'test/repo/tidy.test.ts', 'tools/start.mjs']))
    expect(paths.filter((path) => path.includes('node_modules'))).toEqual([])
  })

  test('imports along the arrows only', () => {
    expect(checkArrows(modules, dependencies)).toEqual([])
  })

  test('imports only files that are there, by their full names', () => {
    expect(checkTargets(everything, (path) => existsSync(join(root, path)))).toEqual([])
  })

  test('has no import cycles', () => {
    expect(checkCycles(everything)).toEqual([])
  })

  test('has no dead files', () => {
    expect(checkDeadFiles(readSources(['core', 'server', 'web-client']), entries)).toEqual([])
  })

  test('keeps time, chance, logs and the platform out of core', () => {
    expect(product.filter((file) => file.path.startsWith('core/')).flatMap(checkCoreBans)).toEqual([])
  })

  test('exports by name', () => {
    expect(modules.flatMap(checkNamedExports)).toEqual([])
  })

  test('puts nothing off and hides nothing without a reason', () => {
    expect(everything.flatMap(checkComments)).toEqual([])
  })

  test('says at the head of each file what lives there', () => {
    expect(everything.flatMap(checkHeader)).toEqual([])
  })

  test('keeps lines and files short', () => {
    expect(everything.flatMap(checkSizes)).toEqual([])
  })

  test('names folders by domain and files in kebab-case', () => {
    expect(everything.flatMap(checkPath)).toEqual([])
  })

  test('runs all its tests, or says why not', () => {
    expect(modules.flatMap(checkTests)).toEqual([])
  })
})

describe('the arrows', () => {
  const arrows = (path: string, specifier: string): Violation[] =>
    checkArrows([source(path, `import { x } from '${specifier}'`)], ['ws', '@scope/thing'])

  test.each([
    ['core/model/names.ts', '../errors.ts'],
    ['core/errors.ts', './assert.ts'],
    ['core/protocol/codec.ts', '../record/batch.ts'],
    ['core/broker/broker.ts', '../storage/log.ts'],
    ['core/index.ts', './client/producer.ts'],
    ['server/relay.ts', '../core/index.ts'],
    ['server/relay.ts', '../core/broker/broker.ts'],
    ['server/relay.ts', './config.ts'],
    ['server/relay.ts', 'node:http'],
    ['server/relay.ts', 'ws'],
    ['server/relay.ts', '@scope/thing/part'],
    ['server/main.ts', '../package.json'],
    ['web-client/page.ts', '../core/index.ts'],
    ['web-client/page.ts', 'idb'],
    ['demo/main.ts', '../web-client/index.ts'],
    ['test/core/bytes.test.ts', '../../core/bytes.ts'],
    ['test/core/bytes.test.ts', 'fast-check'],
  ])('let %s import %s', (path, specifier) => {
    expect(arrows(path, specifier)).toEqual([])
  })

  test.each([
    ['core/errors.ts', './model/names.ts', 'model stands right of base'],
    ['core/model/names.ts', '../ports/clock.ts', 'ports stands right of model'],
    ['core/ports/store.ts', '../record/batch.ts', 'record stands right of ports'],
    ['core/protocol/codec.ts', '../storage/log.ts', 'protocol and storage do not import each other'],
    ['core/storage/log.ts', '../protocol/codec.ts', 'storage and protocol do not import each other'],
    ['core/broker/broker.ts', '../session/drive.ts', 'session stands right of broker'],
    ['core/session/drive.ts', '../client/producer.ts', 'client stands right of session'],
    ['core/broker/broker.ts', '../index.ts', 'the door for outsiders'],
    ['core/other.ts', './errors.ts', 'is in no room of core'],
    ['core/rest/other.ts', '../errors.ts', 'is in no room of core'],
    ['core/bytes.ts', 'node:buffer', 'runs without Node'],
    ['core/bytes.ts', 'ws', 'uses no package'],
    ['core/bytes.ts', '../server/config.ts', 'core/ imports nothing from outside itself'],
    ['server/relay.ts', '../web-client/index.ts', 'only core/'],
    ['server/relay.ts', '../test/sim/world.ts', 'only core/'],
    ['server/relay.ts', 'fast-check', 'does not list fast-check'],
    ['server/relay.ts', '@scope/other', 'does not list @scope/other'],
    ['web-client/page.ts', '../server/index.ts', 'only core/'],
    ['web-client/page.ts', 'node:fs', 'runs without Node'],
    ['web-client/page.ts', 'fast-check', 'does not list fast-check'],
    ['server/relay.ts', 'idb', 'does not list idb'],
    ['demo/main.ts', '../web-client/worker.ts', 'only web-client/index.ts'],
    ['demo/main.ts', '../core/index.ts', 'only web-client/index.ts'],
    ['elsewhere/main.ts', '../core/index.ts', 'is in no layer'],
  ])('do not let %s import %s', (path, specifier, reason) => {
    const violations = arrows(path, specifier)
    expect(violations).toHaveLength(1)
    expect(violations[0]).toContain(reason)
  })

  test.each([
    "import type { X } from 'node:fs'",
    "import 'node:fs'",
    "export { x } from 'node:fs'",
    "export * from 'node:fs'",
    "const x = await import('node:fs')",
    "type X = import('node:fs').Stats",
  ])('are seen in every form of import: %s', (line) => {
    expect(checkArrows([source('core/bytes.ts', '', line)], [])).toEqual([
      'core/bytes.ts:2 imports node:fs, but core/ runs without Node; take a port (core/ports/)',
    ])
  })

  test('are not seen in prose and strings', () => {
    const file = source('core/bytes.ts', "// import 'node:fs'", "export const x = `import 'ws'` + \"require('ws')\"")
    expect(checkArrows([file], [])).toEqual([])
  })
})

describe('the graph', () => {
  test('shows cycles of any length, of types too, once each', () => {
    const files = [
      source('core/a.ts', "import { b } from './b.ts'"),
      source('core/b.ts', "import type { C } from './c.ts'"),
      source('core/c.ts', "import { a } from './a.ts'"),
      source('core/d.ts', "export * from './d.ts'"),
      source('core/e.ts', "import { a } from './a.ts'"),
    ]
    expect(checkCycles(files)).toEqual([
      'core/a.ts -> core/b.ts -> core/c.ts -> core/a.ts is a cycle; move what both need into a third file',
      'core/d.ts -> core/d.ts is a cycle; move what both need into a third file',
    ])
  })

  test('takes two ways to one file for no cycle', () => {
    const files = [
      source('core/a.ts', "import { b } from './b.ts'", "import { c } from './c.ts'"),
      source('core/b.ts', "import { d } from './d.ts'"),
      source('core/c.ts', "import { d } from './d.ts'"),
      source('core/d.ts', 'export const d = 1'),
    ]
    expect(checkCycles(files)).toEqual([])
  })

  test('shows files that no entry reaches, and entries that are missing', () => {
    const files = [
      source('core/index.ts', "export { a } from './a.ts'"),
      source('core/a.ts', "import type { B } from './b.ts'"),
      source('core/b.ts', 'export type B = 1'),
      source('core/left.ts', "import { a } from './a.ts'"),
      source('core/globals.d.ts', 'declare class X {}'),
    ]
    expect(checkDeadFiles(files, ['core/index.ts', 'server/main.ts'])).toEqual([
      'server/main.ts:1 is an entry, but missing',
      'core/left.ts:1 is reached by no entry; use it or delete it',
    ])
  })

  test('shows imports that name no file', () => {
    const files = [
      source('core/a.ts', "import { b } from './b'", "import { c } from './b.ts'", "import d from './d.json'"),
      source('core/b.ts', 'export const b = 1'),
    ]
    expect(checkTargets(files, (path) => path === 'core/d.json')).toEqual([
      'core/a.ts:1 imports ./b, which is no file; write its .ts suffix',
    ])
  })
})

describe('the bans of core', () => {
  test.each([
    ['const now = Date.now()', 'Date.now', 'Clock.now()'],
    ["const now = Date['now']()", 'Date.now', 'Clock.now()'],
    ['const now = new Date()', 'new Date()', 'Clock.now()'],
    ['const now = Date()', 'Date()', 'Clock.now()'],
    ['const x = Math.random()', 'Math.random', 'Random.next()'],
    ['setTimeout(() => {}, 1)', 'setTimeout', 'Clock.setTimer()'],
    ['setInterval(() => {}, 1)', 'setInterval', 'Clock.setTimer()'],
    ['setImmediate(() => {})', 'setImmediate', 'Clock.defer()'],
    ['queueMicrotask(() => {})', 'queueMicrotask', 'Clock.defer()'],
    ['const later = { setTimeout }', 'setTimeout', 'Clock.setTimer()'],
    ["console.log('x')", 'console', 'the Log'],
    ['crypto.getRandomValues(x)', 'crypto', 'Random.bytes()'],
    ['const x = performance.now()', 'performance', 'Clock.monotonic()'],
    ['const x = process.env.HOME', 'process', 'an option'],
    ["const x = require('fs')", 'require', 'an import'],
    ['const x = globalThis.setTimeout', 'globalThis', 'an option'],
    ['const x = Buffer.alloc(1)', 'Buffer', 'Uint8Array'],
    ['const x = `${Date.now()}`', 'Date.now', 'Clock.now()'],
  ])('refuse %s and name what to use', (line, word, instead) => {
    const violations = checkCoreBans(source('core/a.ts', '// a', line))
    expect(violations).toHaveLength(1)
    expect(violations[0]).toContain(`core/a.ts:2 uses ${word}; use ${instead}`)
  })

  test.each([
    "// Date.now and Math.random are for others; so is console.log('x')",
    "const text = 'Date.now() and setTimeout'",
    'const pattern = /process|require\\(/',
    'const x = `Math.random() of ${name}`',
    'const date = new Date(ms)',
    'broker.process(frame)',
    'const x = { process: 1, console: 2 }',
    'interface X { performance: number; crypto(): void }',
    'const x = clock.setTimeout(1)',
    'const half = Math.floor(1.5)',
  ])('let pass %s', (line) => {
    expect(checkCoreBans(source('core/a.ts', line))).toEqual([])
  })
})

describe('the rules of the text', () => {
  test('refuse default exports', () => {
    expect(checkNamedExports(source('core/a.ts', 'const a = 1', 'export default a'))).toHaveLength(1)
    expect(checkNamedExports(source('core/a.ts', 'const a = 1', 'export { a as default }'))).toHaveLength(1)
    expect(checkNamedExports(source('core/a.ts', 'export const a = "export default"'))).toEqual([])
  })

  test.each([
    ['FIXME later', 'repair it now'],
    ['XXX odd', 'say what is wrong'],
    ['HACK around it', 'surprise of the platform'],
    ['TODO', 'write `TODO: `'],
    ['TODO: soon', 'write `TODO: `'],
    ['@ts-ignore', '@ts-expect-error'],
    ['@ts-expect-error', 'root cause'],
    ['oxlint-disable-next-line no-var', 'root cause'],
  ])('refuse the comment "%s"', (text, instead) => {
    for (const comment of [`// ${text}`, `/* ${text} */`]) {
      const violations = checkComments(source('core/a.ts', 'const a = 1', comment, 'const b = 2'))
      expect(violations).toHaveLength(1)
      expect(violations[0]).toMatch(/^core\/a\.ts:2 says /)
      expect(violations[0]).toContain(instead)
    }
  })

  test.each([
    '// TODO: drop the copy when the platform takes many chunks at once',
    '// @ts-expect-error the declaration lacks the second argument',
    '// oxlint-disable-next-line no-var -- a global is declared with var',
    "const text = 'FIXME'",
  ])('let pass %s', (line) => {
    expect(checkComments(source('core/a.ts', line))).toEqual([])
  })

  test('want a comment at the head of a file', () => {
    expect(checkHeader(source('core/a.ts', "import { x } from './x.ts'", '// late'))).toHaveLength(1)
    expect(checkHeader(source('core/a.ts', '//'))).toHaveLength(1)
    expect(checkHeader(source('core/a.ts', '// What lives here.'))).toEqual([])
    expect(checkHeader(source('core/a.ts', '/* What lives here. */'))).toEqual([])
  })

  test('limit lines to 130 columns, and files to 600 lines unless they are tests', () => {
    const line = (columns: number): string => `// ${'é'.repeat(columns - 3)}`
    const lines = (count: number): string[] => Array.from({ length: count }, () => '//')
    expect(checkSizes(source('core/a.ts', line(130), line(131)))).toEqual(['core/a.ts:2 has 131 columns; 130 at most'])
    expect(checkSizes(source('core/a.ts', ...lines(600)))).toEqual([])
    expect(checkSizes(source('core/a.ts', ...lines(601)))).toHaveLength(1)
    expect(checkSizes(source('test/core/a.test.ts', ...lines(601)))).toEqual([])
  })

  test('want folders named by domain and files in kebab-case', () => {
    expect(checkPath(source('core/utils/a.ts', '//'))).toHaveLength(1)
    expect(checkPath(source('core/helpers/a.ts', '//'))).toHaveLength(1)
    expect(checkPath(source('core/model/recordBatch.ts', '//'))).toHaveLength(1)
    expect(checkPath(source('core/model/Record.ts', '//'))).toHaveLength(1)
    expect(checkPath(source('core/model/record-batch.ts', '//'))).toEqual([])
    expect(checkPath(source('test/core/crc32c.test.ts', '//'))).toEqual([])
  })

  test.each(['it', 'test', 'describe', 'test.concurrent'])('refuse %s.only and unexplained skips', (name) => {
    const call = (member: string): string => `${name}.${member}('x', () => {})`
    expect(checkTests(source('test/a.test.ts', '// why', call('only')))).toHaveLength(1)
    expect(checkTests(source('test/a.test.ts', '', call('skip')))).toHaveLength(1)
    expect(checkTests(source('test/a.test.ts', '', call('todo')))).toHaveLength(1)
    expect(checkTests(source('test/a.test.ts', '', `${name}.skipIf(true)('x', () => {})`))).toHaveLength(1)
    expect(checkTests(source('test/a.test.ts', '// Skipped: no such server here.', call('skip')))).toEqual([])
    expect(checkTests(source('test/a.test.ts', `${call('skip')} // no such server here`))).toEqual([])
    expect(checkTests(source('test/a.test.ts', call('each')))).toEqual([])
    expect(checkTests(source('test/a.test.ts', "const text = 'it.only()'; reader.skip(2)"))).toEqual([])
  })

  test('refuse a file that does not parse', () => {
    expect(() => source('core/a.ts', 'const = 1')).toThrow('core/a.ts')
  })
})

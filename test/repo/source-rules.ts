// What the text of one source file must keep to: words core must not use, comments, names, sizes, honest tests.

import type { Violation } from './import-rules.ts'
import { type Source, type SyntaxNode, walk } from './source.ts'

const lineColumnsMax = 130
const fileLinesMax = 600

/** Globals that core must not touch, with what to use instead. A dotted entry bans the member, others the word. */
const coreBans: ReadonlyMap<string, string> = new Map([
  ['Date.now', 'Clock.now() of core/ports/clock.ts'],
  ['Math.random', 'Random.next() of core/ports/random.ts'],
  ['setTimeout', 'Clock.setTimer() of core/ports/clock.ts'],
  ['setInterval', 'Clock.setTimer() of core/ports/clock.ts, set again when it fires'],
  ['setImmediate', 'Clock.defer() of core/ports/clock.ts'],
  ['queueMicrotask', 'Clock.defer() of core/ports/clock.ts'],
  ['requestAnimationFrame', 'Clock.setTimer() of core/ports/clock.ts'],
  ['performance', 'Clock.monotonic() of core/ports/clock.ts'],
  ['console', 'the Log of core/ports/log.ts'],
  ['crypto', 'Random.bytes() of core/ports/random.ts'],
  ['process', 'an option or a port that the composition root fills'],
  ['require', 'an import'],
  ['Buffer', 'Uint8Array and core/bytes.ts'],
  ['globalThis', 'an option or a port that the composition root fills'],
  ['fetch', 'the Dialler of core/ports/transport.ts'],
  ['WebSocket', 'the Dialler of core/ports/transport.ts'],
])

/** Uses in core of what must be injected. */
export function checkCoreBans(source: Source): Violation[] {
  const violations: Violation[] = []
  const report = (node: SyntaxNode, word: string, instead: string): void => {
    violations.push(`${source.path}:${source.lineOf(node.start)} uses ${word}; use ${instead}`)
  }
  walk(source.program, (node, parent, field) => {
    if (node.type === 'Identifier' && !isMemberName(parent, field)) {
      const instead = coreBans.get(node.name as string)
      if (instead !== undefined) report(node, node.name as string, instead)
    }
    const member = memberPath(node)
    const instead = member === undefined ? undefined : coreBans.get(member)
    if (member !== undefined && instead !== undefined) report(node, member, instead)
    if (isCallOf(node, 'Date') && (node.arguments as unknown[]).length === 0) {
      report(node, node.type === 'NewExpression' ? 'new Date()' : 'Date()', 'Clock.now() of core/ports/clock.ts')
    }
  })
  return violations
}

/** The word after a dot, or the name of a property, a method or an imported thing: no use of a global. */
function isMemberName(parent: SyntaxNode | undefined, field: string): boolean {
  if (parent === undefined) return false
  if (parent.type === 'MemberExpression') return field === 'property' && parent.computed !== true
  if (parent.type === 'TSQualifiedName') return field === 'right'
  // The key of `{ setTimeout }` is a name; its value, the same word again, is the use.
  return field === 'key' && parent.computed !== true
}

/** `Date.now` for the node of `Date.now` or `Date['now']`. */
function memberPath(node: SyntaxNode): string | undefined {
  if (node.type !== 'MemberExpression') return undefined
  const [object, property] = [node.object as SyntaxNode, node.property as SyntaxNode]
  if (object.type !== 'Identifier') return undefined
  return `${object.name as string}.${(node.computed === true ? property.value : property.name) as string}`
}

function isCallOf(node: SyntaxNode, name: string): boolean {
  if (node.type !== 'NewExpression' && node.type !== 'CallExpression') return false
  const callee = node.callee as SyntaxNode
  return callee.type === 'Identifier' && callee.name === name
}

/** Default exports: a named one keeps its name wherever it is used. */
export function checkNamedExports(source: Source): Violation[] {
  // What a bundler makes of a stylesheet or a text is declared, and not ours to name.
  if (source.path.endsWith('.d.ts')) return []
  const violations: Violation[] = []
  walk(source.program, (node) => {
    const isDefault = node.type === 'ExportDefaultDeclaration' ||
      (node.type === 'ExportSpecifier' && (node.exported as SyntaxNode).name === 'default')
    if (isDefault) violations.push(`${source.path}:${source.lineOf(node.start)} has a default export; export a name`)
  })
  return violations
}

const bannedCommentWords: ReadonlyMap<RegExp, string> = new Map([
  [/\bFIXME\b/, 'repair it now, or write an issue and a `TODO: reason`'],
  [/\bXXX\b/, 'say what is wrong and why it stays, or repair it'],
  [/\bHACK\b/, 'say which surprise of the platform it answers, with a link'],
  [/\bTODO\b(?!: \S+ \S+)/, 'write `TODO: ` with what is to be done and the reason why not now'],
  [/@ts-(ignore|nocheck)\b/, 'write @ts-expect-error with the root cause'],
  [/@ts-expect-error\s*$/, 'write the root cause behind it'],
  [/(eslint|oxlint)-disable(?!.* -- \S)/, 'write the root cause behind it, after ` -- `'],
])

/** Comments that put off or hide something without a reason. */
export function checkComments(source: Source): Violation[] {
  return source.comments.flatMap((comment) =>
    [...bannedCommentWords]
      .filter(([pattern]) => pattern.test(comment.text))
      .map(([pattern, instead]) => {
        const word = (pattern.exec(comment.text) as RegExpExecArray)[0]
        return `${source.path}:${comment.line} says ${word.trim()}; ${instead}`
      }))
}

/** The first lines of a file tell what lives in it. */
export function checkHeader(source: Source): Violation[] {
  if (/^(\/\/ ?\S|\/\*)/.test(source.text)) return []
  return [`${source.path}:1 does not open with a comment; say what lives here, what it promises, what it must not know`]
}

/** Too long a line, or too long a file. Tests may be long, their lines not. */
export function checkSizes(source: Source): Violation[] {
  const violations = source.lines.flatMap((line, index) => {
    const columns = [...line].length
    if (columns <= lineColumnsMax) return []
    return [`${source.path}:${index + 1} has ${columns} columns; ${lineColumnsMax} at most`]
  })
  const lineCount = source.lines.length - (source.text.endsWith('\n') ? 1 : 0)
  if (lineCount > fileLinesMax && !source.path.startsWith('test/')) {
    violations.push(`${source.path}:1 has ${lineCount} lines; ${fileLinesMax} at most: look for the second noun`)
  }
  return violations
}

/** Folders are named by domain, never by kind; files in kebab-case. */
export function checkPath(source: Source): Violation[] {
  const violations: Violation[] = []
  const parts = source.path.split('/')
  const kind = parts.slice(0, -1).find((part) => /^(utils?|helpers?|interfaces|classes|common|misc|lib)$/.test(part))
  if (kind !== undefined) violations.push(`${source.path}:1 is in ${kind}/; name a folder by its domain`)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)+$/.test(parts.at(-1) as string)) {
    violations.push(`${source.path}:1 is not named in kebab-case`)
  }
  return violations
}

const testFunctions = new Set(['it', 'test', 'describe', 'suite', 'bench'])
const skippingMembers = new Set(['skip', 'skipIf', 'runIf', 'todo', 'fails'])

/** Tests that run alone, and tests that do not run without a reason in a comment on that line or the one above. */
export function checkTests(source: Source): Violation[] {
  const violations: Violation[] = []
  walk(source.program, (node) => {
    if (node.type !== 'MemberExpression') return
    const [object, property] = [node.object as SyntaxNode, node.property as SyntaxNode]
    const name = property.name as string
    if (!testFunctions.has(rootName(object))) return
    // `test.skipIf(condition)\n(...)`: what counts is the line of the word.
    const line = source.lineOf(property.start)
    const at = `${source.path}:${line} says .${name}`
    if (name === 'only') violations.push(`${at}, which leaves out every other test; remove it`)
    if (!skippingMembers.has(name)) return
    const hasReason = source.comments.some((comment) => comment.line === line || comment.lineLast === line - 1)
    if (!hasReason) violations.push(`${at}; write the reason in a comment on the line above`)
  })
  return violations
}

/** `test` for `test`, `test.concurrent`, `test.each(...)`. */
function rootName(node: SyntaxNode): string {
  if (node.type === 'MemberExpression') return rootName(node.object as SyntaxNode)
  if (node.type === 'CallExpression') return rootName(node.callee as SyntaxNode)
  return node.type === 'Identifier' ? (node.name as string) : ''
}

// A source file as the repository's checks see it: its text, its syntax tree, its comments and its imports. The
// parser is the bundler's own, so prose and strings cannot be taken for code.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'vite'

/** The repository's directory. */
export const root: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Any node of the ESTree that the parser makes; fields depend on `type`. */
export interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly [field: string]: unknown
}

export interface Comment {
  readonly text: string
  /** 1-based, first and last. */
  readonly line: number
  readonly lineLast: number
}

export interface Import {
  /** As written: `../errors.ts`, `node:fs`, `ws`. */
  readonly specifier: string
  /** The file it names, as a path from the root; undefined for a package or a module of Node. */
  readonly target: string | undefined
  readonly line: number
}

export interface Source {
  /** From the root, with `/`: `core/model/names.ts`. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
  readonly program: SyntaxNode
  readonly comments: readonly Comment[]
  /** Every module this one mentions: static, dynamic, re-exported, or in a type. */
  readonly imports: readonly Import[]
  /** 1-based line of an offset in the text. */
  lineOf(offset: number): number
}

const skippedDirectories = new Set(['node_modules', 'dist', 'coverage'])
const sourceExtension = /\.(tsx?|mts|mjs|js)$/

/** Every source file below the given directories and files of the root, sorted; what does not exist has none. */
export function readSources(places: readonly string[]): Source[] {
  return places.flatMap(listFiles).sort().map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')))
}

function listFiles(place: string): string[] {
  if (sourceExtension.test(place)) return [place]
  let entries
  try {
    entries = readdirSync(join(root, place), { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return entries.flatMap((entry) => {
    const path = `${place}/${entry.name}`
    if (entry.isDirectory()) return skippedDirectories.has(entry.name) ? [] : listFiles(path)
    return sourceExtension.test(entry.name) ? [path] : []
  })
}

/** Parses one file; throws when its syntax is wrong. */
export function parseSource(path: string, text: string): Source {
  const parsed = parseSync(path, text)
  const [syntaxError] = parsed.errors
  if (syntaxError !== undefined) throw new Error(`${path}: ${syntaxError.message}`)
  const lines = text.split('\n')
  const lineStarts: number[] = []
  for (let start = 0, index = 0; index < lines.length; index++) {
    lineStarts.push(start)
    start += (lines[index] as string).length + 1
  }
  const lineOf = (offset: number): number => {
    let line = lineStarts.findLastIndex((start) => start <= offset)
    line = Math.max(line, 0)
    return line + 1
  }
  const program = parsed.program as unknown as SyntaxNode
  return {
    path,
    text,
    lines,
    program,
    comments: parsed.comments.map((comment) => ({
      text: comment.value,
      line: lineOf(comment.start),
      lineLast: lineOf(comment.end - 1),
    })),
    imports: findImports(path, program, lineOf),
    lineOf,
  }
}

function findImports(path: string, program: SyntaxNode, lineOf: (offset: number) => number): Import[] {
  const imports: Import[] = []
  walk(program, (node) => {
    if (!importingTypes.has(node.type)) return
    // `export const x = 1` has the field without a value; a dynamic import may compute its specifier.
    const specifier = (node.source as SyntaxNode | null | undefined)?.value
    if (typeof specifier !== 'string') return
    // `./scene.ts?raw` is that file's text.
    const file = specifier.split('?', 1)[0] as string
    const target = file.startsWith('.') ? posix.join(posix.dirname(path), file) : undefined
    imports.push({ specifier, target, line: lineOf(node.start) })
  })
  return imports
}

const importingTypes = new Set([
  'ImportDeclaration', 'ExportNamedDeclaration', 'ExportAllDeclaration', 'ImportExpression', 'TSImportType',
])

/** Calls `visit` for every node, parents first. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, parent: SyntaxNode | undefined, field: string) => void,
  parent?: SyntaxNode,
  field = '',
): void {
  visit(node, parent, field)
  for (const [name, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) walk(child, visit, node, name)
    }
  }
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof (value as SyntaxNode).type === 'string'
}

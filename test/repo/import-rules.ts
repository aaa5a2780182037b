// Who may import whom, checked. Layers: core <- server, core <- web-client <- demo, everything <- test. Rooms of core,
// each importing leftwards only: base <- model <- ports <- record <- protocol, storage, filter <- broker, replica <-
// session <- client.

import type { Import, Source } from './source.ts'

/** One breach: `core/bytes.ts:12 what is wrong and what to do instead`. */
export type Violation = string

interface Layer {
  /** Files of other layers that it may import, or whole directories, with a `/` at the end; true for all. */
  readonly doors: readonly string[] | true
  /** More doors for what is below a directory of the layer. */
  readonly roomDoors?: Readonly<Record<string, readonly string[]>>
  readonly packages: 'none' | 'dependencies' | 'any'
  /** Packages that the build puts into the published files: small, and a page that copies the worker has no others. */
  readonly builtIn?: readonly string[]
  readonly node: boolean
}

/**
 * Layers by directory. What is not a file of the same layer comes in through these doors. The relay and the web client
 * are core's siblings in one package and import its files; core/index.ts is the door of the package's users.
 */
const layers: Readonly<Record<string, Layer>> = {
  core: { doors: [], packages: 'none', node: false },
  server: { doors: ['core/', 'package.json'], packages: 'dependencies', node: true },
  'web-client': { doors: ['core/'], packages: 'dependencies', builtIn: ['comlink', 'idb'], node: false },
  demo: {
    // An application like any other: the demo has what the package's users have.
    doors: ['web-client/index.ts'],
    // No engine and nothing stored for an operator: the plain client over a connection of its own.
    roomDoors: { 'demo/console/': ['core/index.ts', 'web-client/engine/web-socket-dialler.ts', 'web-client/system.ts'] },
    packages: 'dependencies',
    builtIn: ['preact', '@preact/signals', 'idb', 'uplot', 'uqr'],
    node: false,
  },
  test: { doors: true, packages: 'any', node: true },
}

/** The files of core's root, the door aside. They import only each other. */
const baseFiles = ['assert', 'errors', 'error-codes', 'error-meanings', 'limits', 'bytes', 'crc32c', 'hash']
  .map((name) => `core/${name}.ts`)

/** Rooms in the order of the arrows; those of one rank do not import each other. */
const roomRanks: Readonly<Record<string, number>> = {
  base: 0, model: 1, ports: 2, record: 3, protocol: 4, storage: 4, filter: 4, broker: 5, replica: 5, session: 6, client: 7,
  door: 8,
}

/** Breaches of the arrows between layers and between core's rooms. `dependencies`: packages a user installs. */
export function checkArrows(sources: readonly Source[], dependencies: readonly string[]): Violation[] {
  return sources.flatMap((source) => {
    const layerName = layerOf(source.path)
    const layer = layers[layerName]
    if (layer === undefined) return [`${source.path}:1 is in no layer; layers are ${Object.keys(layers).join(', ')}`]
    const own = layerName === 'core' ? checkRoom(source) : []
    return [...own, ...source.imports.flatMap((item) => checkImport(source.path, item, layerName, layer, dependencies))]
  })
}

function checkImport(
  path: string, item: Import, layerName: string, layer: Layer, dependencies: readonly string[],
): Violation[] {
  const at = `${path}:${item.line} imports ${item.specifier}`
  if (item.target === undefined) return checkPackage(at, item.specifier, layerName, layer, dependencies)
  const targetLayer = layerOf(item.target)
  if (targetLayer === layerName) return layerName === 'core' ? checkRooms(at, path, item.target) : []
  if (layer.doors === true) return []
  const rooms = Object.entries(layer.roomDoors ?? {}).filter(([room]) => path.startsWith(room))
  const open = [...layer.doors, ...rooms.flatMap(([, doors]) => doors)]
  if (open.some((door) => isBehind(door, item.target as string))) return []
  const doors = open.length === 0 ? 'nothing' : `only ${open.join(', ')}`
  return [`${at}, but ${layerName}/ imports ${doors} from outside itself`]
}

function isBehind(door: string, path: string): boolean {
  return door.endsWith('/') ? path.startsWith(door) : path === door
}

function checkPackage(
  at: string, specifier: string, layerName: string, layer: Layer, dependencies: readonly string[],
): Violation[] {
  if (specifier.startsWith('node:')) {
    return layer.node ? [] : [`${at}, but ${layerName}/ runs without Node; take a port (core/ports/)`]
  }
  if (layer.packages === 'any') return []
  if (layer.packages === 'none') return [`${at}, but ${layerName}/ uses no package; take a port (core/ports/)`]
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  if (dependencies.includes(name) || layer.builtIn?.includes(name)) return []
  return [`${at}, but package.json does not list ${name} under "dependencies", so a user would not have it`]
}

function checkRoom(source: Source): Violation[] {
  const room = roomOf(source.path)
  if (room in roomRanks || source.path.endsWith('.d.ts')) return []
  return [`${source.path}:1 is in no room of core; rooms are ${Object.keys(roomRanks).join(', ')} (import-rules.ts)`]
}

function checkRooms(at: string, path: string, target: string): Violation[] {
  const [from, to] = [roomOf(path), roomOf(target)]
  const [fromRank, toRank] = [roomRanks[from], roomRanks[to]]
  if (from === to || fromRank === undefined || toRank === undefined) return []
  if (to === 'door') return [`${at}, but core/index.ts is the door for outsiders; import the file itself`]
  if (fromRank > toRank) return []
  const reason = fromRank === toRank ? `${from} and ${to} do not import each other` : `${to} stands right of ${from}`
  return [`${at}, but in core imports point leftwards: ${reason}`]
}

function layerOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path
}

/** `core/model/names.ts` -> `model`; a file of core's root is `base`, the `door`, or a room of its own name. */
function roomOf(path: string): string {
  if (path === 'core/index.ts') return 'door'
  if (baseFiles.includes(path)) return 'base'
  return path.split('/')[1] as string
}

/** Relative imports that name no file, or name it without its suffix. `isFile` tells of files that are no source. */
export function checkTargets(sources: readonly Source[], isFile: (path: string) => boolean): Violation[] {
  const paths = new Set(sources.map((source) => source.path))
  return sources.flatMap((source) =>
    source.imports
      .filter((item) => item.target !== undefined && !paths.has(item.target) && !isFile(item.target))
      .map((item) => `${source.path}:${item.line} imports ${item.specifier}, which is no file; write its .ts suffix`))
}

/** Import cycles, types included, each told once: `a.ts -> b.ts -> a.ts`. */
export function checkCycles(sources: readonly Source[]): Violation[] {
  const sourcesByPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const trail: string[] = []
  const violations: Violation[] = []
  const visit = (path: string): void => {
    const start = trail.indexOf(path)
    if (start !== -1) {
      violations.push(`${[...trail.slice(start), path].join(' -> ')} is a cycle; move what both need into a third file`)
      return
    }
    if (done.has(path)) return
    trail.push(path)
    for (const item of sourcesByPath.get(path)?.imports ?? []) {
      if (item.target !== undefined) visit(item.target)
    }
    trail.pop()
    done.add(path)
  }
  for (const source of sources) visit(source.path)
  return violations
}

/** Files that no entry reaches, and entries that do not exist. Declarations of globals are no modules. */
export function checkDeadFiles(sources: readonly Source[], entries: readonly string[]): Violation[] {
  const sourcesByPath = new Map(sources.map((source) => [source.path, source]))
  const reached = new Set<string>()
  const open = [...entries]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue
    reached.add(path)
    for (const item of sourcesByPath.get(path)?.imports ?? []) {
      if (item.target !== undefined) open.push(item.target)
    }
  }
  const missing = entries.filter((entry) => !sourcesByPath.has(entry))
  const dead = sources.map((source) => source.path).filter((path) => !reached.has(path) && !path.endsWith('.d.ts'))
  return [
    ...missing.map((path) => `${path}:1 is an entry, but missing`),
    ...dead.map((path) => `${path}:1 is reached by no entry; use it or delete it`),
  ]
}

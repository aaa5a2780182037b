// From flags, environment and file to the settings of a relay. A flag wins over a variable, a variable over the file,
// the file over the default. Whatever is wrong is told in one line that names where it stands.

import { AssertionError } from '../core/assert.ts'
import { checkLimits, type Limits } from '../core/limits.ts'
import {
  flagOf, type JsonValue, limitSettings, type NamedSetting, ownSettings, type Setting, settingRows, variableOf,
} from './settings.ts'

/** A setting that cannot be used. The text is for people and one line; a program ends with exit code 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

type OwnSettings = typeof ownSettings
type ValueOf<S> = S extends Setting<infer T> ? T : never

/** The settings of a relay, complete. Durations in milliseconds, sizes in bytes; meanings in settings.ts. */
export type RelayConfig = { readonly [N in keyof OwnSettings]: ValueOf<OwnSettings[N]> } & {
  readonly limits: Limits
}

export interface ConfigSources {
  /** Values of flags by key, as they were written: a text, several texts, or true for a switch alone. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Reads a text file; throws where it cannot. */
  readonly readFile: (path: string) => string
}

export interface ResolvedConfig {
  readonly config: RelayConfig
  /** What an operator should know of how it came about. One line each. */
  readonly notices: readonly string[]
}

/** Variables with our prefix that mean something else: the CLI's, and the file's. */
const otherVariables: ReadonlySet<string> = new Set(['POCKETMQ_URL', 'POCKETMQ_CONFIG'])

/** Throws {@link ConfigError}. */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  const notices: string[] = []
  const file = readConfigFile(sources)
  const valuesOf = (settings: Readonly<Record<string, NamedSetting<unknown>>>): object =>
    Object.fromEntries(Object.entries(settings).map(([name, setting]) =>
      [name, resolveOne(setting, sources, file, notices)]))
  const limits = valuesOf(limitSettings) as Limits
  const config = { ...valuesOf(ownSettings), limits } as RelayConfig
  notices.push(...unknownVariables(sources.env))
  checkTogether(limits)
  return { config, notices }
}

/** The settings as a configuration file, secrets hidden. */
export function formatConfig(config: RelayConfig): string {
  const entries = [...formatted(ownSettings, config), ...formatted(limitSettings, config.limits)]
  return `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`
}

function formatted(settings: Readonly<Record<string, NamedSetting<unknown>>>, values: object): [string, JsonValue][] {
  const valuesByName = new Map(Object.entries(values))
  return Object.entries(settings).map(([name, setting]) => [setting.key, setting.format(valuesByName.get(name))])
}

/** The settings without any flag, variable or file. */
export function defaultConfig(): RelayConfig {
  return resolveConfig({ flags: {}, env: {}, readFile: unreadable }).config
}

function unreadable(path: string): never {
  throw new ConfigError(`${path} is not to be read`)
}

interface ConfigFile {
  readonly path: string
  readonly values: ReadonlyMap<string, JsonValue>
}

function resolveOne(
  setting: NamedSetting<unknown>, { flags, env }: ConfigSources, file: ConfigFile | undefined, notices: string[],
): unknown {
  const { key } = setting
  const flag = flags[key]
  if (flag !== undefined) return parseAs(flagOf(key), setting, flag as JsonValue)
  const variable = variableOf(key)
  const text = env[variable]
  if (text !== undefined && isServiceLink(text)) {
    notices.push(`${variable}=${text} is a service address set by Kubernetes, not a setting; it is ignored`)
  } else if (text !== undefined && text !== '') {
    const raw = setting.isList ? text.split(',').map((part) => part.trim()) : text
    return parseAs(variable, setting, raw)
  }
  const written = file?.values.get(key)
  if (file !== undefined && written !== undefined) return parseAs(`${file.path}: ${key}`, setting, written)
  return setting.fallback
}

function parseAs(where: string, setting: Setting<unknown>, raw: JsonValue): unknown {
  try {
    return setting.parse(raw)
  } catch (cause) {
    const shown = setting.isSecret ? '' : ` ${JSON.stringify(raw)} cannot be used.`
    throw new ConfigError(`${where}:${shown} ${(cause as Error).message}`, { cause })
  }
}

/** A service called pocketmq gives every pod of its namespace POCKETMQ_PORT=tcp://10.0.0.1:7600. */
function isServiceLink(text: string): boolean {
  return /^(?:tcp|udp|sctp):\/\//.test(text)
}

function unknownVariables(env: ConfigSources['env']): string[] {
  const known = new Set(settingRows.map(({ key }) => variableOf(key)))
  const isForeign = (name: string): boolean => /^POCKETMQ_(?:SERVICE|PORT)_/.test(name) || otherVariables.has(name)
  return Object.keys(env)
    .filter((name) => name.startsWith('POCKETMQ_') && !known.has(name) && !isForeign(name))
    .map((name) => `${name} is no setting; \`pocketmq serve --help\` lists them`)
}

function readConfigFile({ flags, env, readFile }: ConfigSources): ConfigFile | undefined {
  const path = flags.config ?? env.POCKETMQ_CONFIG
  if (typeof path !== 'string' || path === '') return undefined
  const where = flags.config === undefined ? 'POCKETMQ_CONFIG' : '--config'
  return { path, values: parseConfigFile(path, readText(where, path, readFile)) }
}

function readText(where: string, path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path)
  } catch (cause) {
    throw new ConfigError(`${where}: ${path} cannot be read: ${reasonOf(cause)}`, { cause })
  }
}

function reasonOf(cause: unknown): string {
  const code = (cause as { readonly code?: unknown }).code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'it is not permitted'
  if (code === 'EISDIR') return 'it is a folder'
  return cause instanceof Error ? cause.message : String(cause)
}

function parseConfigFile(path: string, text: string): ReadonlyMap<string, JsonValue> {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (cause) {
    throw new ConfigError(`${path} is not JSON: ${(cause as Error).message.replaceAll(/\s+/g, ' ')}`, { cause })
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new ConfigError(`${path} must hold a JSON object, such as {"port": 7600}`)
  }
  const known = new Set(settingRows.map(({ key }) => key))
  const values = new Map<string, JsonValue>()
  for (const [key, value] of Object.entries(content)) {
    if (!known.has(key)) {
      throw new ConfigError(`${path}: "${key}" is no setting; \`pocketmq serve --print-config\` shows them all`)
    }
    if (!isJsonValue(value)) throw new ConfigError(`${path}: ${key}: It takes a text, a number, true, false or a list.`)
    values.set(key, value)
  }
  return values
}

function isJsonValue(value: unknown): value is JsonValue {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string' || typeof item === 'number')
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/** Limits that make no sense beside each other, told by the names they are set by. */
function checkTogether(limits: Limits): void {
  try {
    checkLimits(limits)
  } catch (cause) {
    if (!(cause instanceof AssertionError)) throw cause
    const message = cause.message.replaceAll(/[a-z][A-Za-z]+/g, (word) =>
      Object.hasOwn(limitSettings, word) ? flagOf(limitSettings[word as keyof Limits].key) : word)
    throw new ConfigError(message, { cause })
  }
}

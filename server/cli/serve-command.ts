// `pocketmq serve`: from flags to a running relay, and from signals and failures to an exit code. The one place where a
// relay meets its process.

import { type Command, Option } from 'commander'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { PocketError } from '../../core/errors.ts'
import type { Log } from '../../core/ports/log.ts'
import { ConfigError, formatConfig, type RelayConfig, resolveConfig } from '../config.ts'
import { createLog } from '../log.ts'
import { ListenError, type Relay, type RelayDeps, startRelay } from '../relay.ts'
import { defaultTextOf, flagOf, formatSettingsTable, type NamedSetting, settingRows } from '../settings.ts'
import { version } from '../version.ts'
import { exitCodes } from './exit-codes.ts'
import { collect, formatCount } from './values.ts'

/** Beside those of other commands; the numbers are those of sysexits.h. */
const serveExitCodes = {
  /** A bug: EX_SOFTWARE. */
  bug: 70,
  /** The store could not be opened, or failed: EX_IOERR. */
  storeFailed: 74,
} as const

interface ServeFlags extends Readonly<Record<string, unknown>> {
  readonly printConfig?: true | 'json' | 'markdown'
}

/** Adds `serve` to the program. `deps` are a test's. */
export function registerServeCommand(program: Command, deps: RelayDeps = {}): void {
  const command = program
    .command('serve')
    .description('start a relay')
    .option('--config <file>', 'read settings from this JSON file; POCKETMQ_CONFIG names one as well')
    .addOption(
      new Option('--print-config [format]', 'print all settings and end: as a file, or as the table in Markdown')
        .choices(['json', 'markdown']),
    )
  for (const setting of settingRows) command.addOption(optionOf(setting))
  command.addHelpText('after', helpText)
  command.action(async (flags: ServeFlags) => {
    process.exit(await serve(flags, deps))
  })
}

const helpText = `
Each flag is also a variable and a key of the file: --send-buffer, POCKETMQ_SEND_BUFFER and "sendBuffer" are the same.
A flag wins over a variable, a variable over the file. Lists are repeated flags, or commas in a variable.

Exit codes: 0 stopped, 1 cannot listen, 2 a setting cannot be used, 70 a bug, 74 the store failed.

Examples:
  $ pocketmq serve
  $ pocketmq serve --port 8000 --data /var/lib/pocketmq --retention 7d
  $ POCKETMQ_TOKEN=secret pocketmq serve --host 0.0.0.0 --allow-origin https://app.example`

function optionOf(setting: NamedSetting<unknown>): Option {
  const { key, placeholder, isList, group, meaning } = setting
  const value = placeholder === undefined ? ' [on|off]' : ` <${placeholder}>`
  const standing = defaultTextOf(setting)
  const option = new Option(`${flagOf(key)}${value}`, standing === '' ? meaning : `${meaning} (default: ${standing})`)
  option.helpGroup(`${group}:`)
  return isList ? option.argParser(collect) : option
}

/** Runs a relay until it is stopped or fails. Gives the exit code; never rejects. */
async function serve(flags: ServeFlags, deps: RelayDeps): Promise<number> {
  try {
    if (flags.printConfig === 'markdown') {
      process.stdout.write(formatSettingsTable())
      return exitCodes.ok
    }
    const readFile = (path: string): string => readFileSync(path, 'utf8')
    const { config, notices } = resolveConfig({ flags, env: process.env, readFile })
    if (flags.printConfig !== undefined) {
      process.stdout.write(formatConfig(config))
      return exitCodes.ok
    }
    return await serveWith(config, notices, deps)
  } catch (error) {
    return report(error)
  }
}

async function serveWith(config: RelayConfig, notices: readonly string[], deps: RelayDeps): Promise<number> {
  const isText = config.logFormat === 'text' || (config.logFormat === 'auto' && process.stdout.isTTY === true)
  const log = deps.log ?? createLog({ level: config.logLevel, format: isText ? 'text' : 'json' })
  for (const notice of notices) log.info(notice)
  process.on('uncaughtException', (error) => crash(log, error))
  const relay = await startRelay(config, { ...deps, log })
  for (const notice of reachOf(config, deps)) log.info(notice)
  stopOnSignals(relay, log)
  if (isText) process.stdout.write(welcome(relay, config))
  else log.info('relay started', startFields(relay, config))
  const failure = await relay.ended
  return failure === undefined ? exitCodes.ok : serveExitCodes.storeFailed
}

/** Who can reach it is what operators get wrong first, in both directions. */
function reachOf({ host, tokens }: RelayConfig, { authenticate }: RelayDeps): string[] {
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) {
    return [`listening on ${host}: reachable from this machine only; --host 0.0.0.0 opens it to others`]
  }
  if (tokens.length > 0 || authenticate !== undefined) return []
  return [`listening on ${host} without a token: whoever reaches it may publish and consume; --token asks for one`]
}

/** The first signal drains, the second ends at once. */
function stopOnSignals(relay: Relay, log: Log): void {
  let signalCount = 0
  for (const [signal, forcedCode] of [['SIGTERM', 143], ['SIGINT', 130], ['SIGHUP', 129]] as const) {
    process.on(signal, () => {
      signalCount++
      if (signalCount > 1) {
        log.error('stopped at once by a second signal; what was not acknowledged may be lost', { signal })
        process.exit(forcedCode)
      }
      log.info('stopping; a second signal ends at once', { signal })
      void relay.close()
    })
  }
}

/** A bug: whatever state it left, what was acknowledged is on disk. */
function crash(log: Log, error: unknown): never {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  log.error('a bug ended the relay; please report it with this line', { version, error: message, stack })
  process.exit(serveExitCodes.bug)
}

/** One line on standard error, and the exit code. */
function report(error: unknown): number {
  const say = (text: string): void => void process.stderr.write(`pocketmq: ${text.replaceAll(/\s*[\r\n]+\s*/g, ' ')}\n`)
  if (error instanceof ConfigError) {
    say(error.message)
    return exitCodes.usage
  }
  if (error instanceof ListenError) {
    say(error.message)
    return exitCodes.failed
  }
  if (error instanceof PocketError && error.code === 'BAD_ARGUMENT') {
    say(error.message)
    return exitCodes.usage
  }
  if (error instanceof PocketError && (error.code === 'STORE_FAILED' || error.code === 'STORE_FULL')) {
    say(error.message)
    return serveExitCodes.storeFailed
  }
  say('a bug; please report it with what follows')
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  return serveExitCodes.bug
}

function startFields(relay: Relay, config: RelayConfig): Record<string, string | number> {
  const { url, httpUrl, pageNames } = relay
  const { topicCount, messageCount } = relay.stats()
  const pages = pageNames.map((name) => `${httpUrl}/${name}/`).join(' ')
  return { version, url, httpUrl, pages, data: placeOf(config), topicCount, messageCount }
}

function placeOf({ isInMemory, dataFolder }: RelayConfig): string {
  return isInMemory ? 'memory' : resolve(dataFolder)
}

function welcome(relay: Relay, config: RelayConfig): string {
  const { topicCount, messageCount } = relay.stats()
  const cli = process.env.npm_lifecycle_event === undefined ? 'pocketmq' : 'npm run pocketmq --'
  const urlFlag = config.port === 7600 ? '' : ` --url ${relay.url}`
  const counts = `${formatCount(topicCount)} topics, ${formatCount(messageCount)} messages`
  const kept = config.isInMemory ? 'in memory, gone when it stops' : resolve(config.dataFolder)
  const lines = [
    `PocketMQ ${version} is ready.`,
    '',
    ...relay.pageNames.map((name) => `  ${name.padEnd(9)}${relay.httpUrl}/${name}/`),
    `  clients  ${relay.url}`,
    `  http     ${relay.httpUrl}  (/healthz /readyz /metrics)`,
    `  data     ${kept}  (${counts})`,
    `  try      ${cli} consume hello${urlFlag}`,
    `           ${cli} send hello 'Hi there'${urlFlag}`,
    ...(cli === 'pocketmq' ? [] : ['           npm run example:flights']),
    '  stop     Ctrl-C',
    '',
  ]
  return `${lines.join('\n')}\n`
}

// Settings from flags, environment and file: which one wins, which units they take, and how a mistake is told.

import { describe, expect, test } from 'vitest'
import { defaultLimits } from '../../core/limits.ts'
import { ConfigError, type ConfigSources, defaultConfig, formatConfig, resolveConfig } from '../../server/config.ts'
import {
  flagOf, formatSettingsTable, formatSize, limitSettings, ownSettings, settingRows, variableOf,
} from '../../server/settings.ts'

interface Given {
  readonly flags?: ConfigSources['flags']
  readonly env?: ConfigSources['env']
  readonly file?: unknown
}

function resolve({ flags = {}, env = {}, file }: Given): ReturnType<typeof resolveConfig> {
  const allFlags = file === undefined ? flags : { ...flags, config: 'relay.json' }
  const text = typeof file === 'string' ? file : JSON.stringify(file)
  return resolveConfig({ flags: allFlags, env, readFile: () => text })
}

function mistake(given: Given): string {
  try {
    resolve(given)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    const { message } = error as ConfigError
    expect(message).not.toContain('\n')
    return message
  }
  throw new Error('nothing was refused')
}

describe('the sources', () => {
  test('all silent give the defaults of core/limits.ts', () => {
    const { config, notices } = resolve({})
    expect(config.limits).toEqual(defaultLimits)
    expect(config).toMatchObject({ host: '127.0.0.1', port: 7600, dataFolder: './pocketmq-data', tokens: [] })
    expect(notices).toEqual([])
  })

  test('rank: a flag before a variable before the file before the default', () => {
    const file = { port: 1111, heartbeat: '11s', lease: '11s' }
    const env = { POCKETMQ_PORT: '2222', POCKETMQ_HEARTBEAT: '22s' }
    const { config } = resolve({ file, env, flags: { port: '3333' } })
    expect(config.port).toBe(3333)
    const { waitMsMax } = defaultLimits
    expect(config.limits).toMatchObject({ heartbeatMs: 22_000, leaseMsDefault: 11_000, waitMsMax })
  })

  test('may be a file that a variable names', () => {
    const read: string[] = []
    const { config } = resolveConfig({
      flags: {},
      env: { POCKETMQ_CONFIG: '/etc/relay.json' },
      readFile: (path) => {
        read.push(path)
        return '{"port": 0}'
      },
    })
    expect({ read, port: config.port }).toEqual({ read: ['/etc/relay.json'], port: 0 })
  })

  test('pass over variables that are empty', () => {
    expect(resolve({ env: { POCKETMQ_PORT: '', POCKETMQ_TOKEN: '' } }).config).toMatchObject({ port: 7600, tokens: [] })
  })

  test('pass over what Kubernetes sets for a service of our name, and say so', () => {
    const env = {
      POCKETMQ_PORT: 'tcp://10.0.0.1:7600', POCKETMQ_SERVICE_HOST: '10.0.0.1', POCKETMQ_PORT_7600_TCP_ADDR: '10.0.0.1',
    }
    const { config, notices } = resolve({ env })
    expect(config.port).toBe(7600)
    expect(notices).toEqual([expect.stringContaining('POCKETMQ_PORT=tcp://10.0.0.1:7600 is a service address')])
  })

  test('tell of variables that look like ours and are none', () => {
    const { notices } = resolve({ env: { POCKETMQ_HARTBEAT: '1s', POCKETMQ_URL: 'ws://x', PATH: '/bin' } })
    expect(notices).toEqual([expect.stringContaining('POCKETMQ_HARTBEAT is no setting')])
  })
})

describe('values', () => {
  test.each([
    ['64KiB', 65_536], ['1mib', 1_048_576], ['1.5MiB', 1_572_864], ['4096', 4_096], ['2 GiB', 2_147_483_648],
  ])('of sizes take units: %s', (text, bytes) => {
    expect(resolve({ flags: { tailCache: text } }).config.limits.tailCacheBytesMax).toBe(bytes)
    expect(resolve({ file: { tailCache: bytes } }).config.limits.tailCacheBytesMax).toBe(bytes)
  })

  test.each([['1500ms', 1_500], ['30s', 30_000], ['5m', 300_000], ['2h', 7_200_000], ['1.5s', 1_500], ['700', 700]])(
    'of durations take units: %s', (text, ms) => {
      expect(resolve({ env: { POCKETMQ_HEARTBEAT: text } }).config.limits.heartbeatMs).toBe(ms)
    },
  )

  test.each([
    ['on', true], ['TRUE', true], ['1', true], ['yes', true],
    ['off', false], ['false', false], ['0', false], ['no', false],
  ])('of switches take words: %s', (word, value) => {
    expect(resolve({ env: { POCKETMQ_MEMORY: word } }).config.isInMemory).toBe(value)
  })

  test('of a switch without a word are on', () => {
    expect(resolve({ flags: { memory: true } }).config.isInMemory).toBe(true)
  })

  test('of lists are repeated flags, commas in a variable, and arrays in a file', () => {
    expect(resolve({ flags: { token: ['a,b', 'c'] } }).config.tokens).toEqual(['a,b', 'c'])
    expect(resolve({ env: { POCKETMQ_TOKEN: 'a, b' } }).config.tokens).toEqual(['a', 'b'])
    const allowOrigin = ['https://a.example', '*']
    expect(resolve({ file: { allowOrigin } }).config.origins).toEqual(allowOrigin)
  })

  test('of the retry schedule are durations joined by commas, or a list in a file', () => {
    expect(resolve({ flags: { retrySchedule: '1s,5s,1m' } }).config.retryScheduleMs).toEqual([1_000, 5_000, 60_000])
    expect(resolve({ file: { retrySchedule: ['1s', 250] } }).config.retryScheduleMs).toEqual([1_000, 250])
  })
})

describe('mistakes', () => {
  test('name the flag, the variable, or the file and its key', () => {
    expect(mistake({ flags: { heartbeat: 'soon' } }))
      .toMatch(/^--heartbeat: "soon" cannot be used\. It takes a duration/)
    expect(mistake({ env: { POCKETMQ_SEND_BUFFER: '1 GB' } }))
      .toMatch(/^POCKETMQ_SEND_BUFFER: "1 GB" cannot be used\. It takes a size/)
    expect(mistake({ file: { leaseMin: true } })).toMatch(/^relay\.json: leaseMin: true cannot be used\./)
  })

  test.each([
    ['port', '65536', 'It takes 65535 or less.'],
    ['port', '-1', 'It takes a whole number.'],
    ['port', '80.5', 'It takes a whole number.'],
    ['port', 'http', 'It takes a whole number.'],
    ['queues', '0', 'It takes 1 or more.'],
    ['queues', '1025', 'It takes 1024 or less.'],
    ['heartbeat', '99ms', 'It takes 100ms or more.'],
    ['sendBuffer', '1', 'It takes 1KiB or more.'],
    ['retention', '99999999999999999999d', 'It takes a duration'],
    ['retrySchedule', '1s,,2s', 'It takes a duration such as'],
    ['logLevel', 'warn', 'It takes one of error, info, debug.'],
    ['memory', 'maybe', 'It takes on or off.'],
    ['data', ' ', 'It takes a text that is not empty.'],
  ])('--%s %s: %s', (key, text, reason) => {
    expect(mistake({ flags: { [key]: text } })).toContain(reason)
  })

  test('take every setting up to its bounds', () => {
    expect(resolve({ flags: { port: '65535', queues: '1024', heartbeat: '100ms' } }).config.port).toBe(65_535)
  })

  test.each([
    ['{"port": 7600,}', 'relay.json is not JSON'],
    ['[]', 'relay.json must hold a JSON object'],
    ['null', 'relay.json must hold a JSON object'],
    ['{"prot": 7600}', 'relay.json: "prot" is no setting'],
    ['{"__proto__": {"port": 1}}', 'relay.json: "__proto__" is no setting'],
    ['{"port": {"a": 1}}', 'relay.json: port: It takes a text, a number, true, false or a list.'],
    ['{"port": null}', 'relay.json: port: It takes'],
    ['{"host": 5}', 'relay.json: host: 5 cannot be used'],
    ['{"token": [5]}', 'relay.json: token: It takes texts'],
  ])('in a file are told: %s', (file, message) => {
    expect(mistake({ file })).toContain(message)
  })

  test.each([
    ['ENOENT', 'there is no such file'], ['EACCES', 'it is not permitted'], ['EISDIR', 'it is a folder'],
    ['EIO', 'EIO happened'],
  ])('in reading the file are told: %s', (code, reason) => {
    const readFile = (): never => {
      throw Object.assign(new Error(`${code} happened`), { code })
    }
    const byFlag = { flags: { config: 'a.json' }, env: {}, readFile }
    expect(() => resolveConfig(byFlag)).toThrow(`--config: a.json cannot be read: ${reason}`)
    const byVariable = { flags: {}, env: { POCKETMQ_CONFIG: 'a.json' }, readFile }
    expect(() => resolveConfig(byVariable)).toThrow(/^POCKETMQ_CONFIG: a\.json/)
  })

  test('never show a secret', () => {
    expect(mistake({ env: { POCKETMQ_TOKEN: 'secret,,other' } })).not.toContain('secret')
  })

  test('between settings are told by their flags', () => {
    expect(mistake({ flags: { leaseMin: '2h', lease: '1h' } })).toBe('--lease-min must be <= --lease')
    expect(mistake({ env: { POCKETMQ_FRAME_MAX: '1MiB' } }))
      .toContain('--frame-max must hold one message of --body-max')
  })
})

describe('the table', () => {
  test('has one name for each setting, from which flag and variable follow', () => {
    const keys = settingRows.map(({ key }) => key)
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys).toHaveLength(Object.keys(ownSettings).length + Object.keys(defaultLimits).length)
    expect(flagOf('sendBuffer')).toBe('--send-buffer')
    expect(variableOf('sendBuffer')).toBe('POCKETMQ_SEND_BUFFER')
    expect(keys.every((key) => /^[a-z]+([A-Z][a-z]+)*$/.test(key))).toBe(true)
  })

  test('takes the default of every limit from core/limits.ts, and takes it back as it writes it', () => {
    for (const [name, setting] of Object.entries(limitSettings)) {
      expect(setting.fallback).toBe(defaultLimits[name as keyof typeof defaultLimits])
      expect(setting.parse(setting.format(setting.fallback)), name).toBe(setting.fallback)
    }
  })

  test('is printed as a file that gives the same settings again, but for secrets', () => {
    const flags = { port: '1', retention: '36h', token: ['s3cret'], allowOrigin: ['*'], retrySchedule: '1s,2s' }
    const { config } = resolve({ flags })
    const text = formatConfig(config)
    expect(text).not.toContain('s3cret')
    const file = JSON.parse(text) as Record<string, unknown>
    expect(Object.keys(file).sort()).toEqual(settingRows.map(({ key }) => key).sort())
    expect(file).toMatchObject({ port: 1, retention: '36h', retrySchedule: '1s,2s', frameMax: '4MiB' })
    expect(mistake({ file })).toContain('token')
    expect(resolve({ file: { ...file, token: ['s3cret'] } }).config).toEqual(config)
    expect(resolve({ file: JSON.parse(formatConfig(defaultConfig())) as object }).config).toEqual(defaultConfig())
  })

  test('is a Markdown table with a row for each setting', () => {
    const lines = formatSettingsTable().trimEnd().split('\n')
    expect(lines).toHaveLength(settingRows.length + 2)
    expect(lines).toContainEqual(expect.stringMatching(/^\| `--heartbeat` \| `25s` \| /))
    expect(lines.every((line) => line.split('|').length === 5)).toBe(true)
  })

  test.each([[0, '0'], [1, '1'], [1_024, '1KiB'], [1_536, '1536'], [1_572_864, '1536KiB'], [5 * 1024 ** 4, '5TiB']])(
    'writes sizes without losing anything: %i', (bytes, text) => {
      expect(formatSize(bytes)).toBe(text)
    },
  )
})

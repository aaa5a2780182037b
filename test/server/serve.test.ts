// `pocketmq serve` as a process of its own: what it prints, how signals and failures end it, and with which exit code.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { closeCodes } from '../../core/model/close-codes.ts'
import { encodeFrame } from '../../core/protocol/codec.ts'
import { version } from '../../server/version.ts'
import { FrameClient } from './frame-client.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

interface StartOptions {
  readonly program?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A program of this repository that was started with arguments. */
class Program {
  readonly child: ChildProcess
  output = ''
  errors = ''

  constructor(args: readonly string[], { program = 'server/main.ts', env = {} }: StartOptions = {}) {
    const ownEnv = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^POCKETMQ_|^npm_/.test(name)))
    this.child = spawn(process.execPath, [join(root, 'tools/run.mjs'), join(root, program), ...args], {
      cwd: folder(),
      env: { ...ownEnv, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
    this.child.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()))
    programs.push(this)
  }

  /** The address it says clients connect to. */
  async url(): Promise<string> {
    const found = (): string | undefined => /ws:\/\/[\d.:[\]]+/.exec(this.output)?.[0]
    await expect.poll(() => found() ?? this.errors, { timeout: 15_000, interval: 20 }).toMatch(/^ws:/)
    return found() as string
  }

  async exitCode(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close')
    return this.child.exitCode
  }

  /** Log lines in JSON. */
  get lines(): Readonly<Record<string, unknown>>[] {
    const lines = this.output.split('\n').filter((line) => line.startsWith('{'))
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }
}

const programs: Program[] = []
const folders: string[] = []

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pocketmq-serve-'))
  folders.push(path)
  return path
}

function serve(args: readonly string[] = [], options?: StartOptions): Program {
  return new Program(['serve', '--port', '0', ...args], options)
}

function serveFailing(failure: string, args: readonly string[] = []): Program {
  const program = 'test/server/programs/serve-on-failing-store.ts'
  return serve(args, { program, env: { TEST_FAIL_AT: '2', TEST_FAILURE: failure } })
}

afterEach(async () => {
  for (const program of programs) program.child.kill('SIGKILL')
  await Promise.all(programs.splice(0).map((program) => program.exitCode()))
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true })
})

const createTopic = encodeFrame('CREATE_TOPIC', {
  requestId: 1, topic: 'orders',
  options: {
    queueCount: undefined, messageType: undefined, retentionMs: undefined, retentionBytes: undefined,
    cleanupPolicy: undefined, ttlMs: undefined, tracePermille: undefined, durability: undefined,
  },
})

describe('starting', () => {
  test('tells people in a few lines where it is, what it has and what to try', async () => {
    const program = serve(['--memory', '--log-format', 'text'])
    const url = await program.url()
    await expect.poll(() => program.output).toContain('Ctrl-C')
    expect(program.output).toContain(`PocketMQ ${version} is ready.`)
    expect(program.output).toContain(`${url.replace('ws:', 'http:')}  (/healthz /readyz /metrics)`)
    expect(program.output).toContain('in memory, gone when it stops  (0 topics, 0 messages)')
    expect(program.output).toContain(`pocketmq send hello 'Hi there' --url ${url}`)
    expect(program.output).toContain('reachable from this machine only')
    expect(program.output.split('\n').length).toBeLessThan(15)
  })

  test('tells machines the same in a line of JSON', async () => {
    const program = serve(['--memory'])
    const url = await program.url()
    expect(program.lines.at(-1)).toMatchObject({
      level: 'info', event: 'relay started', version, url, data: 'memory', topicCount: 0, messageCount: 0,
    })
  })

  test('warns that anybody may use it when others can reach it and no token is set', async () => {
    const open = serve(['--memory', '--host', '0.0.0.0'])
    await open.url()
    expect(open.output).toContain('without a token: whoever reaches it may publish and consume')
    const closed = serve(['--memory', '--host', '0.0.0.0'], { env: { POCKETMQ_TOKEN: 's3cret' } })
    await closed.url()
    expect(closed.output).not.toContain('without a token')
    expect(closed.output).not.toContain('s3cret')
  })

  test('keeps what it stored from one run to the next', async () => {
    const data = folder()
    const first = serve(['--data', data])
    const client = await FrameClient.greet(await first.url())
    client.send(createTopic)
    await client.next('TOPIC')
    first.child.kill('SIGTERM')
    expect(await first.exitCode()).toBe(0)
    const second = serve(['--data', data])
    await second.url()
    expect(second.lines.at(-1)).toMatchObject({ topicCount: 1, data })
  })
})

describe('mistakes', () => {
  test.each([
    [['--heartbeat', 'soon'], {}, /^pocketmq: --heartbeat: "soon" cannot be used\. It takes a duration/],
    [['--no-such-flag'], {}, /^pocketmq: unknown option '--no-such-flag'/],
    [['--host'], {}, /^pocketmq: option '--host <address>' argument missing/],
    [['extra'], {}, /^pocketmq: too many arguments for 'serve'/],
    [['--config', 'missing.json'], {}, /^pocketmq: --config: missing\.json cannot be read: there is no such file/],
    [[], { POCKETMQ_QUEUES: 'many' }, /^pocketmq: POCKETMQ_QUEUES: "many" cannot be used/],
    [['--lease', '1h', '--lease-max', '1m'], {}, /^pocketmq: --lease must be <= --lease-max/],
    [['--memory', '--allow-origin', 'nonsense'], {}, /^pocketmq: .*"nonsense" is not an origin/],
    [['--data', '/dev/null/x'], {}, /^pocketmq: /],
  ] as const)('of %j %j are told in one line, with exit code 2', async (args, env, message) => {
    const program = serve(args, { env })
    expect(await program.exitCode()).toBe(2)
    expect(program.errors).toMatch(message)
    expect(program.errors.trimEnd().split('\n')).toHaveLength(1)
  })

  test('in a file are told with its name and key', async () => {
    const path = join(folder(), 'relay.json')
    writeFileSync(path, '{"heartbeat": "never"}')
    const program = serve(['--config', path])
    expect(await program.exitCode()).toBe(2)
    expect(program.errors).toContain(`pocketmq: ${path}: heartbeat: "never" cannot be used.`)
  })

  test('in choosing a port that is in use are told, with exit code 1', async () => {
    const first = serve(['--memory'])
    const port = new URL(await first.url()).port
    const second = new Program(['serve', '--memory', '--port', port])
    expect(await second.exitCode()).toBe(1)
    expect(second.errors).toMatch(new RegExp(`^pocketmq: port ${port} of 127\\.0\\.0\\.1 is in use, .* --port\n$`))
  })

  test('in choosing a folder that another relay has are told, with exit code 74', async () => {
    const data = folder()
    await serve(['--data', data]).url()
    const second = serve(['--data', data])
    expect(await second.exitCode()).toBe(74)
    expect(second.errors).toMatch(/^pocketmq: .*in use/)
  })
})

describe('asked about itself', () => {
  test('prints every setting in its help', async () => {
    const program = new Program(['serve', '--help'])
    expect(await program.exitCode()).toBe(0)
    expect(program.output).toContain('--send-buffer <size>')
    expect(program.output).toContain('Exit codes:')
  })

  test('prints the settings as they would be, and does not start', async () => {
    const env = { POCKETMQ_QUEUES: '3', POCKETMQ_TOKEN: 's3cret' }
    const program = serve(['--print-config', '--heartbeat', '9s'], { env })
    expect(await program.exitCode()).toBe(0)
    expect(JSON.parse(program.output)).toMatchObject({
      heartbeat: '9s', queues: 3, port: 0, bodyMax: '1MiB', token: ['***'],
    })
  })

  test('prints its version', async () => {
    const program = new Program(['--version'])
    expect(await program.exitCode()).toBe(0)
    expect(program.output).toBe(`${version}\n`)
  })
})

describe('the end', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('by %s drains and exits with 0', async (signal) => {
    const program = serve(['--memory'])
    const client = await FrameClient.greet(await program.url())
    program.child.kill(signal)
    await client.next('STOPPING')
    expect(await client.ended()).toMatchObject({ code: closeCodes.RELAY_STOPPING })
    expect(await program.exitCode()).toBe(0)
    expect(program.lines.at(-1)).toMatchObject({ event: 'relay stopped' })
  })

  test('by a second signal does not wait', async () => {
    const program = serveFailing('no answer', ['--drain-timeout', '1h'])
    const client = await FrameClient.greet(await program.url())
    client.send(createTopic)
    program.child.kill('SIGTERM')
    await client.next('STOPPING')
    program.child.kill('SIGTERM')
    expect(await program.exitCode()).toBe(143)
  })

  test.each(['not written', 'unknown'])('by a commit %s acknowledges nothing and exits with 74', async (failure) => {
    const program = serveFailing(failure)
    const client = await FrameClient.greet(await program.url())
    client.send(createTopic)
    expect(await client.ended()).toMatchObject({ code: closeCodes.STORE_FAILED })
    expect(await program.exitCode()).toBe(74)
    expect(client.frames.map(({ name }) => name)).toEqual(['WELCOME', 'ERROR'])
    const line = program.lines.findLast(({ level }) => level === 'error')
    expect(line).toMatchObject({ code: 'STORE_FAILED', cause: 'EIO: i/o error, fdatasync' })
    expect(line?.event).toContain('what was acknowledged is safe. Mend the disk and start it again')
  })

  test('by a bug is logged with its stack, and exits with 70', async () => {
    const program = serveFailing('bug')
    const client = await FrameClient.greet(await program.url())
    client.send(createTopic)
    expect(await program.exitCode()).toBe(70)
    expect(program.lines.findLast(({ level }) => level === 'error')).toMatchObject({
      event: expect.stringContaining('a bug ended the relay'),
      error: 'a bug of this test',
      stack: expect.stringContaining('at '),
    })
    await client.ended()
  })
})

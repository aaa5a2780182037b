// The program as a process: what signals, closed pipes and exit codes do for real.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RelayProcess } from '../../support/relay-process.ts'
import { runCommand } from './command-run.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  await runCommand(['send', 'lines', 'x', '--count', '5000', '--url', relay.url])
})

afterAll(() => relay[Symbol.asyncDispose]())

interface Program {
  readonly child: ChildProcess
  output: string
  errors: string
}

function start(...args: readonly string[]): Program {
  const child = spawn(process.execPath, [join(root, 'tools', 'run.mjs'), join(root, 'server', 'main.ts'), ...args], {
    env: { ...process.env, POCKETMQ_URL: relay.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const program: Program = { child, output: '', errors: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    program.output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    program.errors += chunk.toString()
  })
  return program
}

async function exitCodeOf({ child }: Program): Promise<unknown> {
  const [exitCode] = (await once(child, 'close')) as [unknown]
  return exitCode
}

describe('the program', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('leaves its group on %s and ends with %d', async (signal, code) => {
    const program = start('consume', 'lines', '--group', `stopped-by-${signal}`, '--json')
    await expect.poll(() => program.output.split('\n').length, { timeout: 15_000 }).toBeGreaterThan(4_999)
    const ended = exitCodeOf(program)
    program.child.kill(signal)
    expect(await ended).toBe(code)
    const { output } = await runCommand(['group', 'describe', `stopped-by-${signal}`, '--json', '--url', relay.url])
    const detail = JSON.parse(output) as { members: unknown[]; queues: { inFlight: number; backlog: number }[] }
    expect(detail.members).toEqual([])
    expect(detail.queues.every(({ inFlight, backlog }) => inFlight === 0 && backlog === 0)).toBe(true)
  })

  test('does not wait on Ctrl-C for what a relay does not take', async () => {
    await using full = await RelayProcess.start(['--store-reserve', '100TiB'])
    const program = start('send', 'orders', 'x', '--url', full.url)
    const refused = async () => Number(/refused_batches\w* (\d+)/.exec(
      await (await fetch(`${full.url.replace(/^ws/, 'http')}/metrics`)).text(),
    )?.[1])
    await expect.poll(refused, { timeout: 15_000 }).toBeGreaterThan(0)
    const ended = exitCodeOf(program)
    program.child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(program.errors).toContain('may or may not be stored')
  })

  test('ends well when the reader of its output has enough', async () => {
    const program = start('consume', 'lines', '--from', 'earliest', '--json')
    await once(program.child.stdout as NodeJS.ReadableStream, 'data')
    const ended = exitCodeOf(program)
    program.child.stdout?.destroy()
    expect(await ended).toBe(0)
    expect(program.errors).toBe('')
  })

  test('ends with 2 on wrong usage, in one line', async () => {
    const program = start('topic', 'create', 'x', '--queues', '0')
    expect(await exitCodeOf(program)).toBe(2)
    expect(program.errors).toMatch(/^pocketmq: option '--queues <count>' argument '0' is invalid.*\n$/)
  })
})

// Every command against a real relay: what it prints for people and for programs, and its exit code.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { RelayProcess } from '../../support/relay-process.ts'
import { runCommand, type RunOptions, type RunResult } from './command-run.ts'

let relay: RelayProcess
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pocketmq-cli-'))
  relay = await RelayProcess.start()
})

afterAll(async () => {
  await relay[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const run = (args: readonly string[], options?: RunOptions) => runCommand([...args, '--url', relay.url], options)

/** Of a command that must succeed. */
async function outputOf(...args: readonly string[]): Promise<string> {
  const result = await run(args)
  expect(result, result.errors).toMatchObject({ exitCode: 0 })
  return result.output
}

async function jsonOf<T>(...args: readonly string[]): Promise<T> {
  return JSON.parse(await outputOf(...args, '--json')) as T
}

function linesOf({ output }: RunResult): Record<string, unknown>[] {
  return output.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('topic', () => {
  test('create makes a topic once, and says so when it is another', async () => {
    const create = ['topic', 'create', 'made', '--type', 'fifo', '--queues', '3', '--retention', '7d']
    expect(await outputOf(...create)).toBe('topic made: FIFO, 3 queues, retention 7d\n')
    expect(await jsonOf(...create)).toMatchObject({ topic: 'made', queueCount: 3, messageType: 'FIFO' })
    const other = await run(['topic', 'create', 'made', '--queues', '4'])
    expect(other.exitCode).toBe(1)
    expect(other.errors).toMatch(/^pocketmq: .*\(TOPIC_EXISTS\).*topic describe.*\n$/)
  })

  test('list and describe show what there is', async () => {
    await outputOf('topic', 'create', 'shown', '--queues', '2')
    await outputOf('send', 'shown', 'hello')
    expect(await outputOf('topic', 'list', '--containing', 'show')).toMatch(/^shown +NORMAL +2 +1 +0 +72h$/m)
    expect(await outputOf('topic', 'list', '--containing', 'nothing')).toBe('no topics\n')
    expect(await outputOf('topic', 'describe', 'shown')).toMatch(/^messages +1 \(/m)
    const detail = await jsonOf<{ queues: unknown[] }>('topic', 'describe', 'shown')
    expect(detail.queues).toHaveLength(2)
  })

  test('create, configure and describe know a topic’s durability', async () => {
    const create = ['topic', 'create', 'easy', '--queues', '1', '--durability', 'relaxed']
    expect(await outputOf(...create)).toBe('topic easy: NORMAL, 1 queue, retention 72h, relaxed\n')
    expect(await outputOf('topic', 'describe', 'easy')).toMatch(/^durability +relaxed$/m)
    expect(await jsonOf('topic', 'list', '--containing', 'easy')).toMatchObject([{ topic: 'easy', durability: 'relaxed' }])
    expect(await jsonOf('send', 'easy', 'x')).toMatchObject({ duplicate: false, durability: 'relaxed' })
    const configure = ['topic', 'configure', 'easy', '--durability', 'STRICT']
    expect(await outputOf(...configure)).toBe('topic easy: NORMAL, 1 queue, retention 72h\n')
    expect(await outputOf('topic', 'describe', 'easy')).toMatch(/^durability +strict$/m)
    expect(await jsonOf('send', 'easy', 'x')).toMatchObject({ durability: 'strict' })
    expect(await run(['topic', 'create', 'easier', '--durability', 'lazy'])).toMatchObject({
      exitCode: 2, errors: /--durability <word>.*'lazy'/,
    })
  })

  test('delete asks for the name, and takes --yes NAME for it', async () => {
    const isThere = async () => (await jsonOf<unknown[]>('topic', 'list', '--containing', 'doomed')).length === 1
    await outputOf('topic', 'create', 'doomed')
    expect(await run(['topic', 'delete', 'doomed'])).toMatchObject({ exitCode: 2, errors: /--yes doomed/ })
    expect(await run(['topic', 'delete', 'doomed', '--yes', 'other'])).toMatchObject({ exitCode: 2 })
    const answering = (input: string) => run(['topic', 'delete', 'doomed'], { isTerminal: true, input })
    expect(await answering('domed\n')).toMatchObject({ exitCode: 2 })
    expect(await isThere()).toBe(true)
    expect(await answering('doomed\n')).toMatchObject({ exitCode: 0, output: 'deleted doomed and its 0 messages\n' })
    expect(await isThere()).toBe(false)
    await outputOf('topic', 'create', 'doomed')
    await outputOf('topic', 'delete', 'doomed', '--yes', 'doomed')
    expect(await isThere()).toBe(false)
  })
})

describe('send', () => {
  test('sends its argument with tag, keys, properties and message group', async () => {
    await outputOf('topic', 'create', 'sent', '--type', 'FIFO')
    const receipt = await jsonOf<{ messageId: string }>(
      'send', 'sent', '{"id":42}', '--tag', 'paid', '--key', 'a', '--key', 'b', '--group', 'anna',
      '--property', 'x=1=2',
    )
    expect(await jsonOf('query', '--id', receipt.messageId)).toMatchObject({
      topic: 'sent', tag: 'paid', keys: ['a', 'b'], messageGroup: 'anna', properties: { x: '1=2' }, body: '{"id":42}',
    })
  })

  test('sends a file as one message, and lines as one each, in order', async () => {
    const path = join(folder, 'lines.txt')
    await writeFile(path, 'one\ntwo\r\nthree')
    await outputOf('topic', 'create', 'filed', '--queues', '1')
    await outputOf('send', 'filed', '--file', path)
    const fromFile = await run(['send', 'filed', '--lines', path])
    expect(fromFile).toMatchObject({ exitCode: 0, output: '', errors: /^stored 3 messages/ })
    const fromInput = await run(['send', 'filed', '--json'], { input: 'four\nfive\n' })
    expect(linesOf(fromInput).map((receipt) => receipt['offset'])).toEqual([4, 5])
    const read = await run(['consume', 'filed', '--from', 'earliest', '--limit', '6', '--json'])
    expect(linesOf(read).map((message) => message['body'])).toEqual([
      'one\ntwo\r\nthree', 'one', 'two', 'three', 'four', 'five',
    ])
  })

  test('repeats a body, and shows progress where it is asked to', async () => {
    await outputOf('topic', 'create', 'repeated')
    const result = await run(['send', 'repeated', 'x', '--count', '5000', '--progress'])
    expect(result.errors).toMatch(/^stored 5,000 messages, [\d,]+\/s$/m)
    expect(await outputOf('topic', 'list', '--containing', 'repeated')).toContain('5,000')
  })

  test('tells the first failure in one line and ends with 1', async () => {
    await outputOf('topic', 'create', 'plain')
    const mismatch = await run(['send', 'plain', 'x', '--group', 'anna'])
    expect(mismatch.exitCode).toBe(1)
    expect(mismatch.errors).toMatch(/^pocketmq: .*\(MESSAGE_TYPE_MISMATCH\).*\n$/)
    const noFile = await run(['send', 'plain', '--file', join(folder, 'none')])
    expect(noFile).toMatchObject({ exitCode: 2, errors: /there is no file/ })
    expect(await run(['send', 'plain', 'x', '--lines'])).toMatchObject({ exitCode: 2 })
  })
})

describe('consume', () => {
  test('prints a line a message, acks it, and stops when idle', async () => {
    await outputOf('topic', 'create', 'read', '--queues', '1')
    await outputOf('send', 'read', 'to do', '--tag', 'a', '--key', 'k')
    await outputOf('send', 'read', 'escape \u001b[2J\n this', '--tag', 'b')
    const first = await outputOf('consume', 'read', '--group', 'readers', '--idle', '300ms')
    expect(first).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}read\/0@0 {2}\[a\] {2}key=k {2}to do$/m)
    expect(first).toContain('escape \\u001b[2J\\n this')
    expect(await outputOf('consume', 'read', '--group', 'readers', '--idle', '300ms')).toBe('')
    expect(await outputOf('group', 'describe', 'readers')).toMatch(/^read +0 +2 +2 +2 +0 +0 +0$/m)
  })

  test('takes only what passes the filter, from where it is told', async () => {
    await outputOf('topic', 'create', 'tagged', '--queues', '1')
    for (const tag of ['a', 'b', 'c']) await outputOf('send', 'tagged', tag, '--tag', tag)
    const result = await run(['consume', 'tagged', '--filter', 'a || c', '--from', '-1h', '--idle', '300ms', '--json'])
    expect(linesOf(result).map((message) => message['body'])).toEqual(['a', 'c'])
    expect(await run(['consume', 'tagged', '--filter', 'a ||'])).toMatchObject({ exitCode: 2, errors: /BAD_FILTER/ })
  })

  test('gives messages back that it was told not to ack', async () => {
    await outputOf('topic', 'create', 'kept', '--queues', '1')
    await outputOf('send', 'kept', 'still here')
    for (const attempt of [1, 2]) {
      const result = await run(['consume', 'kept', '--group', 'lookers', '--limit', '1', '--no-ack', '--json'])
      expect(linesOf(result)).toMatchObject([{ body: 'still here', attempt }])
    }
  })

  test('leaves the group on Ctrl-C and ends with 130', async () => {
    await outputOf('topic', 'create', 'endless')
    await outputOf('send', 'endless', 'first')
    const result = await run(['consume', 'endless', '--group', 'stopped'], {
      interruptAfter: (output) => output.includes('first'),
    })
    expect(result.exitCode).toBe(130)
    const detail = await jsonOf<{ members: unknown[]; queues: { backlog: number }[] }>('group', 'describe', 'stopped')
    expect(detail.members).toEqual([])
    expect(detail.queues.reduce((sum, queue) => sum + queue.backlog, 0)).toBe(0)
  })

  test('says what is missing: the topic, or the group of its mode', async () => {
    const missing = await run(['consume', '%DLQ%nobody', '--group', 'g'])
    expect(missing).toMatchObject({ exitCode: 1, errors: /TOPIC_NOT_FOUND/ })
    expect(await run(['consume', 'endless', '--mode', 'clustering'])).toMatchObject({ exitCode: 2 })
  })
})

describe('group', () => {
  test('configure, list, describe and reset show and move its progress', async () => {
    await outputOf('topic', 'create', 'progressed', '--queues', '1')
    await outputOf('send', 'progressed', 'x', '--count', '3')
    await outputOf('consume', 'progressed', '--group', 'movers', '--limit', '3')
    const configured = await jsonOf('group', 'configure', 'movers', '--max-attempts', '5', '--retry-schedule', '1s,5s')
    expect(configured).toMatchObject({
      maxAttempts: 5, retry: { kind: 'schedule', delaysMs: [1_000, 5_000] },
    })
    expect(await outputOf('group', 'list', '--containing', 'movers')).toMatch(/^movers +0 +0 +-$/m)
    const toOffset = ['group', 'reset', 'movers', 'progressed', '--to', 'offset:1']
    expect(await outputOf(...toOffset, '--queue', '0')).toContain('a backlog of 2')
    expect(await run(toOffset)).toMatchObject({ exitCode: 2, errors: /needs --queue/ })
    expect(await outputOf('group', 'reset', 'movers', 'progressed', '--to', 'earliest')).toContain('a backlog of 3')
    expect(await outputOf('group', 'reset', 'movers', 'progressed', '--to', 'latest')).toContain('a backlog of 0')
    expect(await run(['group', 'describe', 'nobody'])).toMatchObject({ exitCode: 1, errors: /GROUP_NOT_FOUND/ })
  })
})

describe('query', () => {
  test('finds by id, by key and by time', async () => {
    await outputOf('topic', 'create', 'asked', '--queues', '1')
    const { messageId } = await jsonOf<{ messageId: string }>('send', 'asked', 'first', '--key', 'k1')
    await outputOf('send', 'asked', 'second', '--key', 'k2')
    expect(await outputOf('query', '--id', messageId)).toMatch(/^place +asked\/0@0$/m)
    expect(await jsonOf('query', 'asked', '--key', 'k2')).toMatchObject([{ body: 'second' }])
    expect(await jsonOf('query', 'asked', '--from', '5m ago')).toMatchObject([{ body: 'first' }, { body: 'second' }])
    expect(await outputOf('query', 'asked', '--key', 'k3')).toBe('no messages\n')
    const missing = await run(['query', '--id', '0000000000000000-0-0'])
    expect(missing).toMatchObject({ exitCode: 1, errors: /MESSAGE_NOT_FOUND/ })
    for (const args of [['query'], ['query', 'asked'], ['query', '--id', messageId, '--key', 'k']]) {
      expect(await run(args)).toMatchObject({ exitCode: 2 })
    }
  })

  test('finds more than the relay answers at once', async () => {
    const lines = Array.from({ length: 600 }, (_, index) => `${index}\n`).join('')
    expect(await run(['send', 'long', '--lines'], { input: lines })).toMatchObject({ exitCode: 0 })
    const bodies = async (...more: string[]): Promise<unknown[]> =>
      (await jsonOf<{ body: string }[]>('query', 'long', '--from', '5m ago', ...more)).map(({ body }) => body)
    expect(await bodies()).toHaveLength(64)
    const all = await bodies('--max', '1000')
    expect(all).toHaveLength(600)
    expect(new Set(all).size).toBe(600)
  })
})

describe('bench', () => {
  test('measures, and leaves nothing behind', async () => {
    const result = await jsonOf<Record<string, unknown>>('bench', '--messages', '2000', '--samples', '20')
    expect(result).toMatchObject({ messageCount: 2_000, bodyBytes: 100, publishedPerSecond: expect.any(Number) })
    expect(result['sendToDelivery']).toMatchObject({ p50Ms: expect.any(Number), p99Ms: expect.any(Number) })
    expect(await jsonOf('topic', 'list', '--containing', 'pocketmq-bench')).toEqual([])
  })
})

describe('every command', () => {
  const commands = [
    'topic create', 'topic list', 'topic describe', 'topic delete', 'group list', 'group describe', 'group configure',
    'group reset', 'send', 'consume', 'query', 'bench',
  ]

  test.each(commands)('%s has help with examples', async (command) => {
    const { output, exitCode } = await runCommand([...command.split(' '), '--help'])
    expect(exitCode).toBe(0)
    expect(output).toContain(`\nExamples:\n  $ pocketmq ${command}`)
    expect(output).toMatch(/--url <url>.*POCKETMQ_URL/s)
  })

  test('names what is wrong with its usage and ends with 2', async () => {
    const wrong = await runCommand(['consume', 'orders', '--limit', 'many'])
    expect(wrong).toMatchObject({ exitCode: 2, errors: /'--limit <count>' argument 'many' is invalid.*at least 1/ })
    const help = /missing required argument 'topic'\. `pocketmq topic describe --help` says how/
    expect(await runCommand(['topic', 'describe'])).toMatchObject({ exitCode: 2, errors: help })
    expect(await runCommand(['query', '--key'])).toMatchObject({ exitCode: 2 })
  })

  test('says where nothing listens, what to do, and ends with 1', async () => {
    const nowhere = 'ws://127.0.0.1:9'
    const result = await runCommand(['topic', 'list', '--url', nowhere])
    expect(result.exitCode).toBe(1)
    expect(result.errors).toContain(`pocketmq: no relay answers at ${nowhere} (CONNECTION_REFUSED). Start one with`)
    expect(result.errors.trimEnd()).not.toContain('\n')
    const json = await runCommand(['topic', 'list', '--url', nowhere, '--json'])
    expect(JSON.parse(json.errors)).toMatchObject({ error: { code: 'CONNECTION_REFUSED' } })
  })

  test('can be interrupted while it connects or reads stdin', async () => {
    const endless = new PassThrough()
    endless.write('one\n')
    const result = await run(['send', 'plain', '--json'], {
      input: endless,
      interruptAfter: (output) => output.includes('messageId'),
    })
    expect(result.exitCode).toBe(130)
  })
})

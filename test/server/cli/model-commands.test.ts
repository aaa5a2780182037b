// The commands of the rest of the model against a real relay: delays, dead letters, transactions, traces, requests,
// following, and what groups and topics gained with them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect } from '../../../server/connect.ts'
import { RelayProcess } from '../../support/relay-process.ts'
import { runCommand, type RunOptions } from './command-run.ts'

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
})

afterAll(() => relay[Symbol.asyncDispose]())

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

describe('delayed messages', () => {
  test('are sent, listed, recalled, and delivered when they are due', async () => {
    await outputOf('topic', 'create', 'later', '--queues', '1')
    const receipt = await outputOf('send', 'later', 'far', '--delay', '1h', '--tag', 'x')
    expect(receipt).toMatch(/^stored \S+, due .*; recall handle \S+\n$/)
    await outputOf('send', 'later', 'near', '--delay', '50ms')
    const [listed] = await jsonOf<{ recallHandle: string; message: { body: string } }[]>('delayed', 'list', '--topic', 'later')
    expect(await outputOf('delayed', 'list', '--topic', 'later')).toContain('far')
    const handle = (await jsonOf<{ recallHandle: string; message: { body: string } }[]>('delayed', 'list', '--topic', 'later'))
      .find(({ message }) => message.body === 'far')?.recallHandle ?? ''
    expect(listed).toBeDefined()
    expect(await outputOf('topic', 'describe', 'later')).toMatch(/^delayed +\d$/m)
    expect(await outputOf('delayed', 'recall', 'later', handle)).toBe(`recalled ${handle}\n`)
    expect(await run(['delayed', 'recall', 'later', handle])).toMatchObject({ exitCode: 1, errors: /MESSAGE_NOT_FOUND/ })
    expect(await run(['delayed', 'recall', 'later', 'nonsense'])).toMatchObject({ exitCode: 2, errors: /BAD_ARGUMENT/ })
    const consumed = await outputOf('consume', 'later', '--group', 'g', '--limit', '1')
    expect(consumed).toContain('near')
    expect(await outputOf('delayed', 'list', '--topic', 'later')).toBe('no delayed messages\n')
  })

  test('take either a delay or a time, not too far away', async () => {
    expect(await run(['send', 'later', 'x', '--delay', '1h', '--at', '+1h'])).toMatchObject({ exitCode: 2 })
    expect(await run(['send', 'later', 'x', '--delay', '41d'])).toMatchObject({ exitCode: 2, errors: /BAD_ARGUMENT/ })
    expect(await outputOf('send', 'later', 'x', '--at', '-1h')).toContain('in queue 0')
  })
})

describe('dlq', () => {
  test('lists, puts back one or all, and purges', async () => {
    await outputOf('topic', 'create', 'work', '--queues', '1')
    await outputOf('group', 'configure', 'weary', '--max-attempts', '1')
    const letterIds = async () => {
      const letters = await jsonOf<{ messageId: string }[]>('dlq', 'list', 'weary')
      return letters.map(({ messageId }) => messageId)
    }
    const bury = async (count: number) => {
      await outputOf('send', 'work', 'job', '--count', String(count))
      await outputOf('consume', 'work', '--group', 'weary', '--limit', String(count), '--no-ack')
      await expect.poll(async () => (await letterIds()).length).toBe(count)
    }
    expect(await outputOf('dlq', 'list', 'weary')).toBe('no dead letters\n')
    await bury(2)
    expect(await outputOf('dlq', 'list', 'weary')).toMatch(/work\/0@0 +1 +- +job/)
    const [first = ''] = await letterIds()
    expect(await outputOf('dlq', 'resend', 'weary', '--id', first)).toBe('resent 1 dead letters\n')
    expect(await letterIds()).toHaveLength(1)
    expect(await outputOf('dlq', 'resend', 'weary', '--all')).toBe('resent 1 dead letters\n')
    expect(await letterIds()).toEqual([])
    expect(await outputOf('consume', 'work', '--group', 'weary', '--limit', '2')).toContain('job')
    await bury(3)
    expect(await run(['dlq', 'purge', 'weary', '--all'])).toMatchObject({ exitCode: 2, errors: /--yes weary/ })
    expect(await run(['dlq', 'purge', 'weary', '--all', '--yes', 'other'])).toMatchObject({ exitCode: 2 })
    expect(await outputOf('dlq', 'purge', 'weary', '--all', '--yes', 'weary')).toBe('purged 3 dead letters\n')
    expect(await letterIds()).toEqual([])
    expect(await run(['dlq', 'resend', 'weary'])).toMatchObject({ exitCode: 2, errors: /--id, or --all/ })
    expect(await run(['dlq', 'resend', 'weary', '--id', first])).toMatchObject({ exitCode: 1, errors: /MESSAGE_NOT_FOUND/ })
  })
})

describe('transaction list', () => {
  test('shows what no producer has ended', async () => {
    expect(await outputOf('transaction', 'list')).toBe('no open transactions\n')
    const client = await connect(relay.url)
    const producer = client.transactions({ producerGroup: 'payments', check: () => 'unknown' })
    const transaction = producer.begin()
    await transaction.send(client.topic('orders'), { id: 1 })
    await transaction.send(client.topic('ledger'), { id: 1 })
    expect(await outputOf('transaction', 'list', '--group', 'payments')).toMatch(
      new RegExp(`${transaction.transactionId} +payments +0 +2 .*ledger, orders|orders, ledger`),
    )
    expect(await outputOf('transaction', 'list', '--group', 'others')).toBe('no open transactions\n')
    await transaction.commit()
    expect(await jsonOf('transaction', 'list')).toEqual([])
    await client.close()
  })
})

describe('trace', () => {
  test('tells what happened to a message, or how to have it traced', async () => {
    await outputOf('topic', 'create', 'seen', '--queues', '1', '--trace', '1')
    const { messageId } = await jsonOf<{ messageId: string }>('send', 'seen', 'a', '--key', 'k')
    await outputOf('consume', 'seen', '--group', 'eyes', '--limit', '1')
    const timeline = await outputOf('trace', '--id', messageId)
    for (const what of ['born', 'sent', 'stored', 'delivered', 'acked']) expect(timeline).toContain(what)
    expect(await outputOf('trace', 'seen', '--key', 'k')).toBe(timeline)
    await outputOf('topic', 'create', 'unseen', '--queues', '1')
    await outputOf('send', 'unseen', 'a', '--key', 'k')
    expect(await outputOf('trace', 'unseen', '--key', 'k')).toContain('topic configure unseen --trace 1')
    expect(await outputOf('topic', 'configure', 'unseen', '--trace', '0.5')).toContain('50 % traced')
    expect(await run(['trace'])).toMatchObject({ exitCode: 2 })
    expect(await run(['trace', '--key', 'k'])).toMatchObject({ exitCode: 2 })
    expect(await run(['trace', 'seen', '--key', 'none'])).toMatchObject({ exitCode: 1, errors: /MESSAGE_NOT_FOUND/ })
    expect(await run(['topic', 'configure', 'seen', '--trace', '2'])).toMatchObject({ exitCode: 2 })
  })
})

describe('request', () => {
  test('prints the reply, or that none came', async () => {
    await outputOf('topic', 'create', 'quotes', '--queues', '1')
    const [reply] = await Promise.all([
      outputOf('request', 'quotes', 'price?', '--timeout', '10s'),
      outputOf('consume', 'quotes', '--group', 'answerers', '--limit', '1', '--reply', '42'),
    ])
    expect(reply).toBe('42\n')
    expect(await run(['request', 'quotes', 'again?', '--timeout', '100ms'])).toMatchObject({ exitCode: 1, errors: /TIMEOUT/ })
  })
})

describe('follow', () => {
  test('prints every change', async () => {
    await outputOf('topic', 'create', 'logged', '--queues', '1')
    await outputOf('send', 'logged', 'a', '--count', '3')
    await outputOf('consume', 'logged', '--group', 'readers', '--limit', '3')
    const output = await outputOf('follow', 'logged', '--progress', '--until-current')
    expect(output).toMatch(/^topic +logged$/m)
    expect(output).toMatch(/^record +logged\/0@0–\d/m)
    expect(output).toMatch(/^progress +readers on logged\/0$/m)
    expect(output).toMatch(/^current as of commit \d+$/m)
    expect(await run(['follow', 'a b', '--until-current'])).toMatchObject({ exitCode: 2, errors: /BAD_NAME/ })
  })
})

describe('consume', () => {
  test('filters by SQL, and says where a filter is wrong', async () => {
    await outputOf('topic', 'create', 'priced', '--queues', '1')
    for (const price of ['5', '50']) await outputOf('send', 'priced', price, '--property', `price=${price}`)
    const sql = ['consume', 'priced', '--group', 'rich', '--idle', '300ms', '--sql']
    expect(await outputOf(...sql, 'price > 10')).toMatch(/ 50\n$/)
    expect(await run([...sql, 'price >'])).toMatchObject({ exitCode: 2, errors: /column 8.*BAD_FILTER/ })
    expect(await run(['consume', 'priced', '--sql', 'a = 1', '--filter', 'b'])).toMatchObject({ exitCode: 2 })
  })

  test('goes on under its name where it was', async () => {
    await outputOf('topic', 'create', 'shows', '--queues', '1')
    await outputOf('send', 'shows', 'x', '--count', '4')
    const watch = ['consume', 'shows', '--mode', 'broadcasting', '--group', 'boards', '--name', 'board-7', '--from', 'earliest']
    expect((await outputOf(...watch, '--limit', '3')).split('\n')).toHaveLength(4)
    expect((await outputOf(...watch, '--idle', '500ms')).split('\n')).toHaveLength(2)
    expect(await run(['consume', 'shows', '--group', 'g', '--name', 'n'])).toMatchObject({ exitCode: 2 })
  })
})

describe('groups and topics', () => {
  test('take priorities, ttl and compaction', async () => {
    expect(await outputOf('topic', 'create', 'alarms', '--type', 'priority', '--ttl', '10m'))
      .toBe('topic alarms: PRIORITY, 10 queues, retention 72h, delivered for 10m\n')
    await outputOf('send', 'alarms', 'low', '--priority', '1')
    await outputOf('send', 'alarms', 'high', '--priority', '9')
    expect(await outputOf('consume', 'alarms', '--group', 'g', '--limit', '2')).toMatch(/high\n.*low\n$/)
    expect(await run(['send', 'alarms', 'x', '--priority', '10'])).toMatchObject({ exitCode: 2, errors: /BAD_ARGUMENT/ })
    expect(await outputOf('topic', 'create', 'prices', '--compact', '--queues', '1')).toContain('last of each key')
    expect(await run(['send', 'prices', 'no key'])).toMatchObject({ exitCode: 2, errors: /needs a key/ })
  })

  test('pause and resume', async () => {
    await outputOf('topic', 'create', 'paused', '--queues', '1')
    await outputOf('send', 'paused', 'x')
    await outputOf('group', 'configure', 'sleepers')
    expect(await outputOf('group', 'pause', 'sleepers')).toBe('sleepers is paused\n')
    expect(await outputOf('group', 'list', '--containing', 'sleepers')).toMatch(/^sleepers +0 +0 +paused$/m)
    expect(await outputOf('consume', 'paused', '--group', 'sleepers', '--idle', '300ms')).toBe('')
    expect(await outputOf('group', 'resume', 'sleepers')).toBe('sleepers is resumed\n')
    expect(await outputOf('consume', 'paused', '--group', 'sleepers', '--limit', '1')).toContain('x')
    expect(await run(['group', 'pause', 'nobody'])).toMatchObject({ exitCode: 1, errors: /GROUP_NOT_FOUND/ })
  })

  test('hold a FIFO message after its last attempt, until it is settled', async () => {
    await outputOf('topic', 'create', 'steps', '--type', 'fifo', '--queues', '1')
    await outputOf('group', 'configure', 'packers', '--max-attempts', '1', '--exhausted', 'hold')
    await outputOf('send', 'steps', 'first', '--group', 'a')
    await outputOf('send', 'steps', 'other', '--group', 'b')
    await outputOf('consume', 'steps', '--group', 'packers', '--limit', '2', '--no-ack')
    await expect.poll(() => outputOf('group', 'describe', 'packers')).toMatch(/held/)
    expect(await outputOf('group', 'settle', 'packers', 'steps', '--how', 'retry')).toContain('2 held messages')
    expect(await outputOf('consume', 'steps', '--group', 'packers', '--limit', '2')).toContain('first')
    expect(await run(['group', 'settle', 'packers', 'steps', '--how', 'forget'])).toMatchObject({ exitCode: 2 })
  })

  test('retry exponentially', async () => {
    const args = ['group', 'configure', 'patient', '--retry-first', '5s', '--retry-max', '2h']
    expect(await outputOf(...args)).toContain('5s, then 2 times as long, at most 2h')
    expect(await run([...args, '--retry-schedule', '1s'])).toMatchObject({ exitCode: 2 })
    expect(await run(['group', 'configure', 'patient', '--retry-first', '5s'])).toMatchObject({ exitCode: 2 })
  })

  test('are deleted when their name is repeated', async () => {
    await outputOf('group', 'configure', 'doomed')
    expect(await run(['group', 'delete', 'doomed'])).toMatchObject({ exitCode: 2, errors: /--yes doomed/ })
    expect(await run(['group', 'delete', 'doomed', '--yes', 'other'])).toMatchObject({ exitCode: 2 })
    expect(await outputOf('group', 'delete', 'doomed', '--yes', 'doomed')).toBe('deleted group doomed\n')
    expect(await run(['group', 'describe', 'doomed'])).toMatchObject({ exitCode: 1, errors: /GROUP_NOT_FOUND/ })
  })
})

describe('relay', () => {
  test('shows itself and its connections, and ends one', async () => {
    const client = await connect(relay.url, { name: 'till 7' })
    const shown = await outputOf('relay', 'describe')
    expect(shown).toMatch(/^version {2}\d+\.\d+/)
    expect(shown).toMatch(/^messagesInTotal +\d/m)
    expect(shown).toMatch(/^bodySize|^port/m)
    const [till] = await jsonOf<{ clientId: string }[]>('relay', 'connections', '--containing', 'till 7')
    expect(await outputOf('relay', 'connections')).toContain('till 7')
    const clientId = till?.clientId ?? ''
    const closed = new Promise((resolve) => void client.on('link', ({ state }) => state === 'closed' && resolve(true)))
    expect(await outputOf('relay', 'close-connection', clientId)).toBe(`closed the connection of ${clientId}\n`)
    expect(await closed).toBe(true)
    expect(await run(['relay', 'close-connection', clientId])).toMatchObject({ exitCode: 1, errors: /CONNECTION_NOT_FOUND/ })
    await client.close()
  })
})

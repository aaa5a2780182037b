// Filters on their way to the relay: tags are checked at once, SQL92 is the relay's to read.

import { describe, expect, test } from 'vitest'
import type { Filter } from '../../../core/client/api.ts'
import { filterOf } from '../../../core/client/filter.ts'
import { fixedLimits } from '../../../core/limits.ts'
import type { Script } from '../../support/scripted-relay.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const agreeable: Script = {
  SUBSCRIBE: ({ requestId, subscriptionId }, line) =>
    line.send('SUBSCRIBED', { requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 60_000, positions: [] }),
}

const refusing: Script = {
  SUBSCRIBE: ({ requestId }, line) => line.refuse(requestId, 'BAD_FILTER'),
  PULL: ({ requestId }, line) => line.refuse(requestId, 'BAD_FILTER'),
}

const { filterBytesMax, filterTagCountMax } = fixedLimits
const sqlOf = (size: number) => `a = '${'x'.repeat(size - 6)}'`

test.each([
  [undefined, 'TAG', '*'],
  ['b || a || b', 'TAG', 'a || b'],
  [{ sql: `region = 'eu' AND price > 10` }, 'SQL92', `region = 'eu' AND price > 10`],
  [{ sql: sqlOf(filterBytesMax) }, 'SQL92', sqlOf(filterBytesMax)],
] as const)('%j goes out as %s', async (filter, filterKind, expression) => {
  const world = await ScriptedWorld.connected(agreeable)
  const topic = world.client.topic('orders')
  const options = filter === undefined ? {} : { filter }
  topic.consume({ group: 'a', ...options })
  topic.receiver({ group: 'b', ...options })
  void topic.pull({ queueId: 0, ...options })[Symbol.asyncIterator]().next()
  await world.settle()
  const asked = { filterKind, filter: expression }
  expect(world.relay.line.heard('SUBSCRIBE')).toMatchObject([asked, asked])
  expect(world.relay.line.heard('PULL')).toMatchObject([asked])
})

test.each([
  ['a ||'], [{ sql: '' }], [{ sql: ' \n' }], [{ sql: sqlOf(filterBytesMax + 1) }], [{ sql: 'x'.repeat(10_000_000) }],
  [{ sql: `a = '${'ü'.repeat(filterBytesMax / 2)}'` }], [{ sql: 5 as unknown as string }], [{} as { sql: string }],
  [null as unknown as string], [7 as unknown as string], [['a'] as unknown as string],
  [Array.from({ length: filterTagCountMax + 1 }, (_, index) => `t${index}`).join('||')],
] as const)('what is no filter is refused on the spot (%#)', async (filter) => {
  const world = await ScriptedWorld.connected(agreeable)
  const topic = world.client.topic('orders')
  const badFilter = expect.objectContaining({ code: 'BAD_FILTER' })
  expect(() => topic.consume({ group: 'a', filter: filter as Filter })).toThrow(badFilter)
  expect(() => topic.receiver({ group: 'a', filter: filter as Filter })).toThrow(badFilter)
  expect(() => topic.pull({ queueId: 0, filter: filter as Filter })).toThrow(badFilter)
})

test('as many tags as are allowed are', () => {
  const tags = Array.from({ length: filterTagCountMax }, (_, index) => `t${index}`)
  expect(filterOf(tags.join('||')).tags?.size).toBe(filterTagCountMax)
})

describe('SQL that the relay does not take', () => {
  test('ends consumers with its words', async () => {
    const world = await ScriptedWorld.connected(refusing)
    const topic = world.client.topic('orders')
    const consumer = topic.consume({ group: 'a', filter: { sql: 'a >' } })
    const receiver = topic.receiver({ group: 'a', filter: { sql: 'a >' } })
    const subscribed = [watch(consumer.subscribed), watch(receiver.subscribed)]
    await world.settle()
    expect(subscribed.map(({ outcome }) => outcome)).toEqual(['BAD_FILTER', 'BAD_FILTER'])
    const next = consumer[Symbol.asyncIterator]().next()
    await expect(next).rejects.toMatchObject({ code: 'BAD_FILTER', message: 'refused: BAD_FILTER' })
    await expect(receiver.receive()).rejects.toMatchObject({ code: 'BAD_FILTER' })
  })

  test('ends a pull', async () => {
    const world = await ScriptedWorld.connected(refusing)
    const pull = world.client.topic('orders').pull({ queueId: 0, filter: { sql: 'a >' } })
    await expect(world.until(pull[Symbol.asyncIterator]().next())).rejects.toMatchObject({ code: 'BAD_FILTER' })
  })
})

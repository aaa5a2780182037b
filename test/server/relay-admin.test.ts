// What a relay tells of itself and its connections, over the wire, and closing one of them.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { connect } from '../../server/connect.ts'
import { type Relay, startRelay } from '../../server/relay.ts'

describe('the relay’s own admin calls', () => {
  let relay: Relay
  beforeEach(async () => {
    relay = await startRelay({ port: 0, isInMemory: true, tokens: ['secret-token'] })
  })
  afterEach(() => relay.close())

  const open = (name: string) => connect(relay.url, { name, auth: 'secret-token' })

  test('settings are told with secrets hidden, and figures as whole numbers that follow what happens', async () => {
    await using client = await open('operator')
    const before = await client.admin.describeRelay()
    await client.topic('orders').send(1)
    const after = await client.admin.describeRelay()
    expect(before.version).toMatch(/^\d+\.\d+\.\d+/)
    expect(Math.abs(Date.now() - before.startedMs)).toBeLessThan(60_000)
    expect(before.settings.find(({ name }) => name === 'memory')).toMatchObject({ value: 'true' })
    expect(JSON.stringify(before.settings)).not.toContain('secret-token')
    expect(after.figures.get('messagesInTotal')).toBe((before.figures.get('messagesInTotal') ?? 0) + 1)
    expect(after.figures.get('connections')).toBe(1)
    for (const value of after.figures.values()) expect(Number.isSafeInteger(value)).toBe(true)
  })

  test('connections are listed in pages, found by name, and ended for good', async () => {
    await using operator = await open('operator')
    const tills = await Promise.all([1, 2, 3].map((number) => open(`till ${number}`)))
    const all = await operator.admin.listConnections()
    expect(all.map(({ clientName }) => clientName).sort()).toEqual(['operator', 'till 1', 'till 2', 'till 3'])
    const first = await operator.admin.listConnections({ max: 3 })
    const rest = await operator.admin.listConnections({ after: first.at(-1)?.clientId ?? '' })
    expect([...first, ...rest]).toEqual(all)
    const [till] = await operator.admin.listConnections({ containing: 'TILL 2' })
    expect(till).toMatchObject({ clientName: 'till 2', streamCount: 0 })

    const closed = new Promise((resolve) => {
      tills[1]?.on('link', ({ state, error }) => state === 'closed' && resolve(error))
    })
    await operator.admin.closeConnection(till?.clientId ?? '')
    expect(await closed).toMatchObject({ code: 'FORBIDDEN' })
    await expect(operator.admin.closeConnection(till?.clientId ?? '')).rejects.toMatchObject({ code: 'CONNECTION_NOT_FOUND' })
    expect(await operator.admin.listConnections({ containing: 'till' })).toHaveLength(2)
    await Promise.all(tills.map((client) => client.close()))
  })

  test('topics and groups come in pages', async () => {
    await using operator = await open('operator')
    for (const name of ['a', 'b', 'c', 'd']) await operator.admin.createTopic(`topic-${name}`)
    const page = await operator.admin.listTopics({ containing: 'topic-', max: 3 })
    expect(page.map(({ topic }) => topic)).toEqual(['topic-a', 'topic-b', 'topic-c'])
    expect((await operator.admin.listTopics({ after: 'topic-c' })).map(({ topic }) => topic)).toContain('topic-d')
    for (const name of ['a', 'b', 'c']) await operator.admin.configureGroup(`group-${name}`, {})
    expect((await operator.admin.listGroups({ after: 'group-a', max: 1 })).map(({ group }) => group)).toEqual(['group-b'])
  })
})

// The console's page of connections: who is at the relay, found by id, name or address, and shown out.

import { describe, expect, test } from 'vitest'
import { connect } from '../../server/connect.ts'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('the page of connections', () => {
  const box = setUpConsole()

  test('shows who is connected, page by page, and finds them by id, name and address', async () => {
    const clients = await Promise.all(
      Array.from({ length: 70 }, (_, index) => connect(box.relay.url, { name: `till-${String(index).padStart(2, '0')}` })),
    )
    await box.mq.admin.createTopic('orders')
    const consumer = box.mq.topic('orders').consume({ group: 'packers' })
    const page = await box.open('connections')
    const rows = box.rows(page, 'connections')
    await expect.poll(() => rows.count(), patience).toBe(50)
    await page.getByText('72 in all').waitFor()
    await lookAt(page, 'connections')
    await page.getByTestId('next-page').click()
    await expect.poll(() => rows.count(), patience).toBe(22)
    await page.getByTestId('previous-page').click()
    await expect.poll(() => rows.count(), patience).toBe(50)

    const search = page.getByTestId('search')
    await search.fill('TILL-07')
    await expect.poll(() => rows.count(), patience).toBe(1)
    const [found] = await box.mq.admin.listConnections({ containing: 'till-07' })
    expect(await rows.innerText()).toContain(found?.clientId)
    await search.fill(found?.clientId ?? '')
    await expect.poll(() => rows.innerText(), patience).toContain('till-07')
    await search.fill('127.0.0.1')
    await expect.poll(() => rows.count(), patience).toBe(50)
    await search.fill('test')
    await expect.poll(async () => (await rows.count()) === 1 && (await rows.locator('td').nth(4).innerText()), patience).toBe('1')
    await search.fill('nobody at all')
    await page.getByText('Nothing holds “nobody at all”.').waitFor()
    // The console's own connection says that it is one.
    await search.fill('console')
    await expect.poll(() => rows.innerText(), patience).toContain('a console')
    await consumer.close()
    await Promise.all(clients.map((client) => client.close()))
  })

  test('closes a connection once its id is typed, and says so when it was gone before', async () => {
    const till = await connect(box.relay.url, { name: 'till' })
    till.on('error', () => {})
    const states: string[] = []
    till.on('link', ({ state }) => states.push(state))
    const [{ clientId } = { clientId: '' }] = await box.mq.admin.listConnections({ containing: 'till' })
    const page = await box.open('connections?find=till')
    const rows = box.rows(page, 'connections')
    await expect.poll(() => rows.count(), patience).toBe(1)
    expect(await page.getByTestId('search').inputValue()).toBe('till')
    await page.getByTestId('close').click()
    await page.getByText('does not come back by itself').waitFor()
    await lookAt(page, 'connections-close')
    await page.getByTestId('confirm-word').fill('till')
    expect(await page.getByTestId('confirm-go').isDisabled()).toBe(true)
    await page.getByTestId('confirm-cancel').click()
    expect(states).toEqual([])
    await page.getByTestId('close').click()
    await box.confirm(page, clientId)
    await page.getByText(`${clientId} was shown out`).waitFor()
    await page.getByText('Nothing holds “till”.').waitFor()
    await expect.poll(() => states.at(-1), patience).toBe('closed')
    await till.close()

    const other = await connect(box.relay.url, { name: 'till' })
    await expect.poll(() => rows.count(), patience).toBe(1)
    const [second] = await box.mq.admin.listConnections({ containing: 'till' })
    await page.getByTestId('close').click()
    await other.close()
    await page.getByTestId('confirm-word').fill(second?.clientId ?? '')
    await page.getByTestId('confirm-go').click()
    await page.getByTestId('confirm').getByText('CONNECTION_NOT_FOUND').waitFor()
    await page.getByTestId('confirm-cancel').click()
  })

  test('speaks Chinese', async () => {
    const page = await box.open('connections')
    await page.getByTestId('language').click()
    await page.getByRole('columnheader', { name: '客户端' }).waitFor()
    await lookAt(page, 'connections-zh')
  })
})

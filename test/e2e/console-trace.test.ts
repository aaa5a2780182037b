// The console's trace: the way of a message, asked for by its id, or by topic, key and time.

import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('the page of traces', () => {
  const box = setUpConsole()

  async function errorOf(page: Page, testId: string): Promise<string> {
    const noteId = await page.getByTestId(testId).getAttribute('aria-describedby')
    return noteId === null ? '' : page.locator(`[id="${noteId}"]`).innerText()
  }

  async function kindsOf(page: Page): Promise<(string | undefined)[]> {
    return page.getByTestId('timeline').first().getByRole('listitem').evaluateAll((all) => all.map((one) => one.dataset.kind))
  }

  test('shows what happened to a message: when, where, for whom, and how often it was tried', async () => {
    await box.mq.admin.createTopic('orders', { trace: 1 })
    await box.mq.admin.configureGroup('packers', { retry: [10], maxAttempts: 3 })
    const consumer = box.mq.topic('orders').consume({ group: 'packers' })
    box.mq.on('error', () => {})
    void consumer.run((message) => {
      if (message.attempt === 1) throw new Error('not yet')
    })
    const { messageId } = await box.mq.topic('orders').send({ id: 1 }, { keys: ['anna'] })
    await expect.poll(async () => (await box.mq.admin.trace({ messageId }))[0]?.events.map(({ kind }) => kind), patience)
      .toEqual(['born', 'sent', 'stored', 'delivered', 'retried', 'delivered', 'acked'])

    const page = await box.open('trace')
    await page.getByTestId('field-messageId').fill(messageId)
    await page.keyboard.press('Enter')
    await page.getByTestId('timeline').waitFor()
    expect(await kindsOf(page)).toEqual(['born', 'sent', 'stored', 'delivered', 'retried', 'delivered', 'acked'])
    const timeline = await page.getByTestId('timeline').innerText()
    expect(timeline).toContain('packers')
    expect(timeline).toContain('attempt 2')
    expect(timeline).toContain('producer')
    const own = (await box.mq.admin.listConnections()).find(({ clientName }) => clientName === 'test')
    expect(timeline).toContain(own?.clientId ?? 'a client id')
    expect(page.url()).toContain(`#/trace?id=${messageId}`)
    await lookAt(page, 'trace')
    await page.getByTestId('language').click()
    await page.getByText('第 2 次').first().waitFor()
    await lookAt(page, 'trace-zh')
    await page.getByRole('link', { name: messageId }).click()
    await page.getByTestId('message-detail').waitFor()
    await consumer.close()
  })

  test('is led by its address to all messages of a key, in a time', async () => {
    await box.mq.admin.createTopic('orders', { trace: 1 })
    for (let index = 0; index < 3; index++) await box.mq.topic('orders').send({ index }, { keys: ['anna'] })
    await expect.poll(async () => (await box.mq.admin.trace({ topic: 'orders', key: 'anna' })).length, patience).toBe(3)
    const page = await box.open('trace?topic=orders&key=anna')
    await expect.poll(() => page.getByTestId('timeline').count(), patience).toBe(3)
    expect(await page.getByTestId('found').innerText()).toBe('3 messages')
    await lookAt(page, 'trace-key')
    await page.getByTestId('field-span').selectOption('between')
    await page.getByTestId('field-to').fill('2001-01-01T00:00')
    await page.getByTestId('find').click()
    await page.getByTestId('no-trace').waitFor()
    expect(page.url()).toContain('span=between')
    // What stands in the address is asked for again.
    await page.reload()
    await page.getByTestId('no-trace').waitFor()
    expect(await page.getByTestId('field-to').inputValue()).toMatch(/^2001-01-01T00:00/)
  })

  test('goes on where a key has many messages', async () => {
    await box.mq.admin.createTopic('orders', { trace: 1 })
    await Promise.all(Array.from({ length: 100 }, (_, index) => box.mq.topic('orders').send({ index }, { keys: ['anna'] })))
    const page = await box.open('trace?topic=orders&key=anna')
    await expect.poll(() => page.getByTestId('timeline').count(), patience).toBe(64)
    expect(await page.getByTestId('found').innerText()).toContain('There are more')
    await page.getByTestId('more').click()
    await expect.poll(() => page.getByTestId('timeline').count(), patience).toBe(100)
    expect(await page.getByTestId('found').innerText()).toBe('100 messages')
    expect(await page.getByTestId('more').count()).toBe(0)
  })

  test('says of what is not traced that it is not, and how it would be', async () => {
    await box.mq.admin.createTopic('quiet', { trace: 0 })
    const { messageId } = await box.mq.topic('quiet').send({ id: 1 })
    const page = await box.open(`trace?id=${messageId}`)
    await expect.poll(() => page.getByTestId('page-trace').innerText(), patience).toMatch(/not traced|where their setting/)
    await page.getByTestId('field-messageId').fill('0123456789abcdef-0-7')
    await page.getByTestId('find').click()
    await expect.poll(() => page.getByTestId('no-trace').innerText(), patience).toContain('“trace”')
  })

  test('says beside each field what is wrong with it', async () => {
    const page = await box.open('trace')
    const find = page.getByTestId('find')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-messageId'), patience).toContain('BAD_ARGUMENT')
    await page.getByTestId('field-messageId').fill('no id at all')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-messageId'), patience).toMatch(/no id at all.*not a message id/)
    await lookAt(page, 'trace-refused')
    await page.getByTestId('way').selectOption('key')
    await page.getByTestId('field-topic').fill('bad topic')
    await page.getByTestId('field-key').fill('anna')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-topic'), patience).toMatch(/bad topic.*BAD_NAME/)
    await page.getByTestId('field-topic').fill('nowhere')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-topic'), patience).toContain('TOPIC_NOT_FOUND')
    await box.mq.admin.createTopic('orders')
    await page.getByTestId('field-topic').fill('orders')
    await page.getByTestId('field-key').fill('k'.repeat(300))
    await find.click()
    await expect.poll(() => errorOf(page, 'field-key'), patience).toContain('255')
    await page.getByTestId('field-key').fill('anna')
    await page.getByTestId('field-span').selectOption('between')
    await page.getByTestId('field-from').fill('2026-01-02T00:00')
    await page.getByTestId('field-to').fill('2026-01-01T00:00')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-to'), patience).toContain('not later than from')
  })
})

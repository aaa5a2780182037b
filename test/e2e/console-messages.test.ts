// The console's messages: found by topic and time, by key, by id; looked at as JSON, text and bytes; sent once more.

import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { bytes, text } from '../../core/index.ts'
import { defaultLimits } from '../../core/limits.ts'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('the page of messages', () => {
  const box = setUpConsole()

  /** What stands beside a field, as it is read with it. */
  async function errorOf(page: Page, testId: string): Promise<string> {
    const noteId = await page.getByTestId(testId).getAttribute('aria-describedby')
    return noteId === null ? '' : page.locator(`[id="${noteId}"]`).innerText()
  }

  async function detailOf(page: Page): Promise<string> {
    return page.getByTestId('message-detail').innerText()
  }

  test('finds what a topic got lately, and shows the one that is chosen', async () => {
    await box.mq.admin.createTopic('orders', { queueCount: 2 })
    const orders = box.mq.topic('orders')
    for (let index = 0; index < 5; index++) {
      const order = { id: `a-${index}`, amount: index * 3, items: [{ sku: 'cup', count: index }], isPaid: true, note: null }
      await orders.send(order, {
        tag: index % 2 === 0 ? 'created' : 'paid', keys: [`a-${index}`, 'anna'], properties: { region: 'eu' },
      })
    }
    const page = await box.open('messages')
    await page.getByTestId('field-topic').fill('ord')
    await page.locator('datalist option[value=orders]').waitFor({ state: 'attached' })
    await page.getByTestId('field-topic').fill('orders')
    await page.keyboard.press('Enter')
    await expect.poll(() => box.rows(page, 'messages').count(), patience).toBe(5)
    expect(await page.getByTestId('found').innerText()).toContain('5 messages')
    expect(page.url()).toContain('#/messages?topic=orders&span=hour')
    expect(await page.getByTestId('messages').innerText()).toMatch(/orders\/[01]@0/)
    await lookAt(page, 'messages')

    const row = page.getByTestId('message-row').nth(2)
    await row.focus()
    await page.keyboard.press('Enter')
    await page.getByTestId('message-detail').waitFor()
    // What appeared has the focus, and gives it back.
    const focused = () => page.evaluate(() => (document.activeElement as HTMLElement).dataset.testid)
    await expect.poll(focused, patience).toBe('message-detail')
    expect(await row.getAttribute('aria-pressed')).toBe('true')
    expect(await detailOf(page)).toMatch(/region\s+eu/)
    expect(await page.getByTestId('body-part').innerText()).toContain('\n  "items": [\n    {\n      "sku": "cup"')
    await lookAt(page, 'message')
    await page.getByTestId('close-message').click()
    await page.getByTestId('message-detail').waitFor({ state: 'detached' })
    expect(await row.evaluate((one) => one === document.activeElement)).toBe(true)
  })

  test('says that there are more, and goes on to the end without one twice, also within a millisecond', async () => {
    await box.mq.admin.createTopic('many', { queueCount: 3 })
    const many = box.mq.topic('many')
    await Promise.all(Array.from({ length: 150 }, (_, index) => many.send({ index }, { keys: ['all'] })))
    const page = await box.open('messages?topic=many')
    await expect.poll(() => box.rows(page, 'messages').count(), patience).toBe(64)
    expect(await page.getByTestId('found').innerText()).toContain('There are more')
    await page.getByTestId('more').click()
    await expect.poll(() => box.rows(page, 'messages').count(), patience).toBe(128)
    await page.getByTestId('more').click()
    await expect.poll(() => box.rows(page, 'messages').count(), patience).toBe(150)
    expect(await page.getByTestId('found').innerText()).toContain('all that fit')
    await page.getByTestId('max').selectOption('256')
    await page.getByTestId('way').selectOption('key')
    await page.getByTestId('field-key').fill('all')
    await page.getByTestId('find').click()
    await expect.poll(() => page.getByTestId('found').innerText(), patience).toBe('150 messages, all that fit.')
    expect(await page.getByTestId('more').count()).toBe(0)
  })

  test('is led by its address: a key, an id, a time between two moments', async () => {
    await box.mq.admin.createTopic('orders')
    const orders = box.mq.topic('orders')
    await orders.send({ id: 1 }, { keys: ['anna'] })
    const { messageId } = await orders.send({ id: 2 }, { keys: ['bob', 'anna'] })
    const page = await box.open('messages?topic=orders&key=bob')
    // The only one is shown at once.
    await page.getByTestId('message-detail').waitFor()
    expect(await detailOf(page)).toContain(messageId)
    await page.getByTestId('message-detail').getByRole('link', { name: 'anna' }).click()
    await expect.poll(() => box.rows(page, 'messages').count(), patience).toBe(2)
    expect(await page.getByTestId('field-key').inputValue()).toBe('anna')

    await page.goto(`${box.relay.httpUrl}/console/#/messages?id=${messageId}`)
    await expect.poll(() => page.getByTestId('field-messageId').inputValue(), patience).toBe(messageId)
    await page.getByTestId('message-detail').waitFor()
    await page.getByRole('link', { name: 'Its trace' }).click()
    await page.getByTestId('page-trace').waitFor()
    expect(page.url()).toContain(`#/trace?id=${messageId}`)
    await page.goBack()
    await page.getByTestId('message-detail').getByRole('link', { name: 'orders' }).click()
    await page.getByTestId('page-topics').waitFor()

    await page.goto(`${box.relay.httpUrl}/console/#/messages?topic=orders&span=between&from=2001-01-01T00:00&to=2001-01-02T00:00`)
    await page.getByTestId('messages-empty').waitFor()
    await page.getByTestId('field-to').fill('')
    await page.getByTestId('find').click()
    await expect.poll(() => box.rows(page, 'messages').count(), patience).toBe(2)
  })

  test('says beside each field what is wrong with it, in the words of who refuses it', async () => {
    const page = await box.open('messages')
    const find = page.getByTestId('find')
    await page.getByText('Ask for something').waitFor()
    await find.click()
    await expect.poll(() => errorOf(page, 'field-topic'), patience).toContain('BAD_NAME')
    await page.getByTestId('field-topic').fill('not a name!')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-topic'), patience).toMatch(/not a name!.*BAD_NAME/)
    await lookAt(page, 'messages-refused')
    await page.getByTestId('field-topic').fill('nowhere')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-topic'), patience).toContain('TOPIC_NOT_FOUND')
    await page.getByTestId('field-topic').fill('x'.repeat(300))
    await find.click()
    await expect.poll(() => errorOf(page, 'field-topic'), patience).toContain('300')

    await box.mq.admin.createTopic('orders')
    await page.getByTestId('field-topic').fill('orders')
    await page.getByTestId('field-span').selectOption('between')
    await page.getByTestId('field-from').fill('2026-01-02T00:00')
    await page.getByTestId('field-to').fill('2026-01-01T00:00')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-to'), patience).toContain('not later than from')

    await page.getByTestId('field-span').selectOption('all')
    await find.click()
    await page.getByTestId('messages-empty').waitFor()
    await page.getByTestId('way').selectOption('key')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-key'), patience).toMatch(/BAD_/)
    await page.getByTestId('field-key').fill('k'.repeat(300))
    await find.click()
    await expect.poll(() => errorOf(page, 'field-key'), patience).toContain('255')

    await page.getByTestId('way').selectOption('id')
    await page.getByTestId('field-messageId').fill('no id at all')
    await find.click()
    await expect.poll(() => errorOf(page, 'field-messageId'), patience).toMatch(/not a message id.*BAD_ARGUMENT/)
    await page.getByTestId('field-messageId').fill('0123456789abcdef-0-7')
    await find.click()
    await expect.poll(() => page.getByTestId('messages-empty').innerText(), patience).toContain('No message of this id')
  })

  test('shows JSON as it was sent, text, and bytes; copies and saves it', async () => {
    await box.mq.admin.createTopic('bodies', { queueCount: 1 })
    const raw = box.mq.topic('bodies', { codec: bytes })
    const json = '{"id":12345678901234567890,"same":1,"same":2,"quote":"a \\"b\\" {c","empty":{},"list":[]}'
    await raw.send(new TextEncoder().encode(json), { keys: ['json'] })
    await box.mq.topic('bodies', { codec: text }).send('Grüße,\n你好', { keys: ['text'] })
    await raw.send(Uint8Array.from({ length: 40 }, (_, index) => (index * 7) % 256), { keys: ['bytes'] })
    await raw.send(new Uint8Array(), { keys: ['empty'] })
    const page = await box.open('messages?topic=bodies&key=json')
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    const part = page.getByTestId('body-part')
    await part.waitFor()
    expect(await part.innerText()).toBe(
      '{\n  "id": 12345678901234567890,\n  "same": 1,\n  "same": 2,\n  "quote": "a \\"b\\" {c",\n  "empty": {},\n  "list": []\n}',
    )
    expect(await part.locator('.json-name').count()).toBe(6)
    await page.getByTestId('body-text').click()
    expect(await part.innerText()).toBe(json)
    await page.getByTestId('body-hex').click()
    const firstLine = '00000000  7b 22 69 64 22 3a 31 32 33 34 35 36 37 38 39 30  {"id":1234567890\n'
    expect(await part.innerText()).toContain(`${firstLine}00000010`)
    const saved = page.waitForEvent('download')
    await page.getByTestId('body-download').click()
    const download = await saved
    expect(download.suggestedFilename()).toMatch(/^[0-9a-f]{16}-\d+-\d+\.json$/)
    expect(readFileSync(await download.path(), 'utf8')).toBe(json)

    await ask(page, 'text')
    await expect.poll(() => part.innerText(), patience).toBe('Grüße,\n你好')
    expect(await page.getByTestId('body-json').isDisabled()).toBe(true)
    await page.getByTestId('body-copy').click()
    await page.getByTestId('notes').getByText('Copied').waitFor()
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('Grüße,\n你好')

    await ask(page, 'bytes')
    await expect.poll(() => part.innerText(), patience).toMatch(/^00000000 {2}00 07 0e 15/)
    expect(await page.getByTestId('body-text').isDisabled()).toBe(true)
    await lookAt(page, 'message-bytes')

    await ask(page, 'empty')
    await page.getByTestId('body-empty').waitFor()
  })

  test('sends a message once more, to its topic or another, without what the relay said of the old one', async () => {
    await box.mq.admin.createTopic('orders')
    await box.mq.admin.createTopic('life', { messageType: 'FIFO' })
    const { messageId } = await box.mq.topic('orders').send({ id: 7 }, {
      tag: 'paid', keys: ['seven', 'two words'], ttl: '1h',
      properties: { region: 'eu', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', CORRELATION_ID: 'c-1' },
    })
    const page = await box.open(`messages?id=${messageId}`)
    await page.getByTestId('resend').click()
    const form = page.getByTestId('resend-form')
    const go = page.getByTestId('resend-go')
    await form.getByTestId('field-topic').fill('no such')
    await go.click()
    await expect.poll(() => form.locator('.field-error').first().innerText(), patience).toContain('BAD_NAME')
    await form.getByTestId('field-topic').fill('nowhere')
    await go.click()
    await expect.poll(() => form.locator('.field-error').first().innerText(), patience).toContain('TOPIC_NOT_FOUND')
    expect((await box.mq.admin.listTopics()).map(({ topic }) => topic)).not.toContain('nowhere')
    await form.getByTestId('field-topic').fill('life')
    await go.click()
    await expect.poll(() => form.locator('.field-error').innerText(), patience).toContain('MESSAGE_TYPE_MISMATCH')
    await lookAt(page, 'resend-refused')
    await form.getByTestId('field-messageGroup').fill('g'.repeat(70))
    await go.click()
    await expect.poll(() => form.locator('.field-error').innerText(), patience).toContain('63')
    await form.getByTestId('field-messageGroup').fill('anna')
    await go.click()
    await page.getByTestId('resent').waitFor()
    await lookAt(page, 'resend')
    await page.getByTestId('resent').getByRole('link').click()
    await expect.poll(() => page.getByTestId('field-messageId').inputValue(), patience).not.toBe(messageId)
    await page.getByTestId('message-detail').waitFor()

    const [sent] = await box.mq.admin.findByKey('life', 'seven')
    expect(sent).toMatchObject({ tag: 'paid', keys: ['seven', 'two words'], messageGroup: 'anna', ttlMs: 3_600_000 })
    expect(Object.fromEntries(sent?.properties ?? [])).toEqual({ region: 'eu' })
    expect(new TextDecoder().decode(sent?.body)).toBe('{"id":7}')
  })

  test('offers a dead letter to the topic it came from', async () => {
    await box.mq.admin.createTopic('life', { messageType: 'FIFO' })
    await box.mq.admin.configureGroup('packers', { maxAttempts: 1, exhausted: 'dead-letter' })
    const failing = box.mq.topic('life').consume({ group: 'packers' })
    void failing.run(() => {
      throw new Error('no')
    })
    box.mq.on('error', () => {})
    await box.mq.topic('life').send({ id: 1 }, { messageGroup: 'anna', keys: ['one'], properties: { region: 'eu' } })
    await expect.poll(async () => (await box.mq.admin.deadLetters('packers')).length, patience).toBe(1)
    await failing.close()
    const page = await box.open(`messages?${new URLSearchParams({ topic: '%DLQ%packers' })}`)
    await page.getByTestId('resend').click()
    const form = page.getByTestId('resend-form')
    expect(await form.getByTestId('field-topic').inputValue()).toBe('life')
    expect(await form.getByTestId('field-messageGroup').inputValue()).toBe('anna')
    await page.getByTestId('resend-go').click()
    await page.getByTestId('resent').waitFor()
    const sent = await box.mq.admin.findByKey('life', 'one')
    expect(sent.map(({ properties }) => Object.fromEntries(properties))).toEqual([{ region: 'eu' }, { region: 'eu' }])
  })

  test('speaks Chinese', async () => {
    await box.mq.admin.createTopic('orders')
    await box.mq.topic('orders').send({ id: 1 }, { tag: 'paid', properties: { region: 'eu' } })
    const page = await box.open('messages?topic=orders')
    await page.getByTestId('message-detail').waitFor()
    await page.getByTestId('language').click()
    await page.getByRole('button', { name: '重新发送 …' }).click()
    await lookAt(page, 'message-zh')
  })
})

describe('the page of messages, of a relay that takes large ones', () => {
  const bodyBytesMax = 4 * 1024 * 1024
  const box = setUpConsole({ limits: { ...defaultLimits, bodyBytesMax, frameBytesMax: 2 * bodyBytesMax } })

  test('shows four megabytes in parts, each at once', async () => {
    await box.mq.admin.createTopic('bodies')
    const items = Array.from({ length: 60_000 }, (_, index) => ({ index, name: `item ${index}`, tags: ['a', 'b'], isHere: true }))
    const json = JSON.stringify(items)
    expect(json.length).toBeGreaterThan(bodyBytesMax * 0.8)
    await box.mq.topic('bodies', { codec: text }).send(json, { keys: ['big'] })
    const noise = Uint8Array.from({ length: bodyBytesMax }, (_, index) => (index * 31) % 251)
    await box.mq.topic('bodies', { codec: bytes }).send(noise, { keys: ['noise'] })
    const page = await box.open('messages?topic=bodies&key=big')
    const part = page.getByTestId('body-part')
    await part.waitFor()
    const shown = (): Promise<string> => part.evaluate((one) => one.textContent)
    expect((await shown()).length).toBe(20_000)
    await page.getByTestId('body-more').click()
    await expect.poll(async () => (await shown()).length, patience).toBe(40_000)
    await page.getByTestId('body-text').click()
    expect(await shown()).toBe(json.slice(0, 20_000))
    await ask(page, 'noise')
    await expect.poll(async () => (await shown()).split('\n').length, patience).toBe(256)
    await page.getByTestId('body-more').click()
    await expect.poll(async () => (await shown()).split('\n').length, patience).toBe(512)
    // An answer of the relay may hold one of them alone; the other is not left out without a word.
    await page.getByTestId('way').selectOption('time')
    await page.getByTestId('find').click()
    await expect.poll(async () => {
      const count = await box.rows(page, 'messages').count()
      const more = page.getByTestId('more')
      if (count < 2 && await more.isVisible()) await more.click()
      return count
    }, patience).toBe(2)
  })
})

async function ask(page: Page, key: string): Promise<void> {
  await page.getByTestId('field-key').fill(key)
  await page.getByTestId('find').click()
  await page.getByTestId('message-detail').waitFor()
}

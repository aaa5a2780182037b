// The console's pages of topics: found among thousands, made, changed, sent to, deleted.

import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('topics', () => {
  const box = setUpConsole()

  test('are listed, paged and searched by the relay', { timeout: 60_000 }, async () => {
    for (let start = 0; start < 2_000; start += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, index) =>
        box.mq.admin.createTopic(`stock-${String(start + index).padStart(4, '0')}`, { queueCount: 1 })))
    }
    const page = await box.open('topics')
    const rows = box.rows(page, 'topics')
    await expect.poll(() => rows.count(), patience).toBe(50)
    expect(await rows.first().innerText()).toContain('stock-0000')
    await page.getByText('2,000 in all').waitFor()
    await page.getByTestId('next-page').click()
    await expect.poll(() => rows.first().innerText(), patience).toContain('stock-0050')
    await page.getByTestId('next-page').click()
    await expect.poll(() => rows.first().innerText(), patience).toContain('stock-0100')
    await page.getByTestId('previous-page').click()
    await expect.poll(() => rows.first().innerText(), patience).toContain('stock-0050')

    await page.getByTestId('search').fill('-1234')
    await expect.poll(() => rows.count(), patience).toBe(1)
    await page.getByRole('link', { name: 'stock-1234' }).click()
    await page.getByRole('heading', { name: 'stock-1234' }).waitFor()
    // The way back leads to what was found.
    await page.goBack()
    await expect.poll(() => rows.allInnerTexts(), patience).toEqual([expect.stringContaining('stock-1234')])
    await page.getByTestId('search').fill('nothing of the kind')
    await page.getByText('Nothing holds').waitFor()
  })

  test('are made with all their settings, and what is refused is said beside its field', async () => {
    const page = await box.open('topics')
    await page.getByTestId('topics-empty').waitFor()
    await page.getByTestId('create').click()
    await lookAt(page, 'topic-create')
    const form = page.getByTestId('create-form')
    const errorOf = (field: string) => form.locator('.field', { has: page.getByTestId(`field-${field}`) }).getByRole('alert')
    async function refused(field: string, value: string, said: RegExp, mended: string): Promise<void> {
      await page.getByTestId(`field-${field}`).fill(value)
      await page.getByTestId('create-go').click()
      await expect.poll(() => errorOf(field).innerText(), patience).toMatch(said)
      await page.getByTestId(`field-${field}`).fill(mended)
    }
    await refused('topic', '', /BAD_NAME/, 'orders')
    await refused('topic', 'no spaces', /BAD_NAME/, 'x'.repeat(128))
    await refused('topic', 'x'.repeat(128), /BAD_NAME/, 'orders')
    await refused('queueCount', 'many', /BAD_ARGUMENT/, '2')
    await refused('queueCount', '1025', /BAD_ARGUMENT/, '2')
    await refused('retention', 'a week', /BAD_ARGUMENT/, '7d')
    await refused('retentionBytes', 'ten', /BAD_ARGUMENT/, '10MiB')
    await refused('ttl', '-1s', /BAD_ARGUMENT/, '1h')
    await refused('trace', '2', /BAD_ARGUMENT/, '0.5')
    await page.getByTestId('field-messageType').selectOption('FIFO')
    await page.getByTestId('field-durability').selectOption('relaxed')
    await page.getByTestId('create-go').click()
    await page.getByRole('heading', { name: 'orders' }).waitFor()
    expect(await box.mq.admin.describeTopic('orders')).toMatchObject({
      queueCount: 2, messageType: 'FIFO', retentionMs: 7 * 86_400_000, retentionBytes: 10 * 1024 ** 2, ttlMs: 3_600_000,
      trace: 0.5, durability: 'relaxed',
    })
  })

  test('are changed, sent to and deleted', async () => {
    await box.mq.admin.createTopic('orders', { queueCount: 2, retention: '72h' })
    await using consumer = box.mq.topic('orders').consume({ group: 'till' })
    await consumer.subscribed
    const page = await box.open('topics/orders')
    await page.getByTestId('topic-groups').getByRole('link', { name: 'till' }).waitFor()

    await page.getByTestId('configure').click()
    expect(await page.getByTestId('field-retention').inputValue()).toBe('3d')
    await page.getByTestId('field-retention').fill('soon')
    await page.getByTestId('configure-go').click()
    await page.getByTestId('configure-form').getByRole('alert').getByText('retention').waitFor()
    await page.getByTestId('field-retention').fill('5000')
    await page.getByTestId('configure-go').click()
    await page.getByTestId('configure-form').getByRole('alert').getByText('it takes a unit').waitFor()
    await page.getByTestId('field-retention').fill('1d')
    await page.getByTestId('configure-go').click()
    // Fewer messages are kept: nothing is changed before the name is typed, and the question does not outlive its page.
    await page.getByTestId('confirm').waitFor()
    await page.evaluate(() => (location.hash = '#/overview'))
    await page.getByTestId('confirm').waitFor({ state: 'detached' })
    await page.goBack()
    await page.getByTestId('configure').click()
    expect(await page.getByTestId('field-retention').inputValue()).toBe('3d')
    await page.getByTestId('field-retention').fill('1d')
    await page.getByTestId('configure-go').click()
    await page.getByTestId('confirm-word').fill('orders')
    await page.getByTestId('confirm-go').click()
    await page.getByTestId('configure-form').waitFor({ state: 'detached' })
    expect((await box.mq.admin.describeTopic('orders')).retentionMs).toBe(86_400_000)

    await page.getByTestId('send').click()
    const form = page.getByTestId('send-form')
    await page.getByTestId('field-body').fill('x'.repeat(1024 * 1024 + 1))
    await page.getByTestId('send-go').click()
    await form.getByRole('alert').getByText('MESSAGE_TOO_LARGE').waitFor()
    await page.getByTestId('field-body').fill('{"id":1}')
    const mistakes = [['tag', 'a || b', 'paid'], ['properties', 'no equals sign', 'region=eu'], ['delay', 'later', '']] as const
    for (const [field, bad, good] of mistakes) {
      await page.getByTestId(`field-${field}`).fill(bad)
      await page.getByTestId('send-go').click()
      await form.locator('.field', { has: page.getByTestId(`field-${field}`) }).getByRole('alert').waitFor()
      await page.getByTestId(`field-${field}`).fill(good)
    }
    await page.getByTestId('field-keys').fill('a-1, a-2')
    await page.getByTestId('send-go').click()
    await page.getByTestId('receipt').getByText('offset 0').waitFor()
    const [message] = await box.mq.admin.findByKey('orders', 'a-2')
    expect(message).toMatchObject({ tag: 'paid', keys: ['a-1', 'a-2'] })
    expect(message?.properties.get('region')).toBe('eu')
    await expect.poll(() => box.rows(page, 'queues').allInnerTexts(), patience).toContainEqual(expect.stringMatching(/^\d\s+1\s/))
    await lookAt(page, 'topic')

    await page.getByTestId('delete').click()
    await lookAt(page, 'topic-delete')
    await page.getByTestId('confirm-cancel').click()
    expect((await box.mq.admin.listTopics()).length).toBe(1)
    await page.getByTestId('delete').click()
    await box.confirm(page, 'orders')
    await page.getByTestId('page-topics').waitFor()
    await page.getByTestId('topics-empty').waitFor()
    expect(await box.mq.admin.listTopics()).toEqual([])
  })

  test('that are not there are said not to be', async () => {
    const page = await box.open('topics/nowhere')
    await page.getByText('TOPIC_NOT_FOUND').waitFor()
    await page.getByRole('main').getByRole('link', { name: 'Topics' }).click()
    await page.getByTestId('topics-empty').waitFor()
    await box.mq.admin.createTopic('orders')
    await box.mq.admin.createTopic('payments', { messageType: 'FIFO' })
    await expect.poll(() => box.rows(page, 'topics').count(), patience).toBe(2)
    await lookAt(page, 'topics')
  })
})

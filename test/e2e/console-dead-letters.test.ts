// The console's page of dead letters: which groups have them, what they were, and where they go from here.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('dead letters', () => {
  const box = setUpConsole()

  /** So many orders whose only attempt has failed. */
  async function bury(group: string, count: number, topicName = 'orders'): Promise<void> {
    await box.mq.admin.configureGroup(group, { maxAttempts: 1 })
    const topic = box.mq.topic<{ index: number }>(topicName)
    await using consumer = topic.consume({ group })
    void consumer.run(async (message) => message.retry())
    await Promise.all(Array.from({ length: count }, (_, index) => topic.send({ index }, { tag: 'paid', keys: [`k-${index}`] })))
    await expect.poll(async () => (await box.mq.admin.deadLetters(group, { max: 1_000 })).length, patience).toBe(count)
  }

  test('are found by their group, which is searched by the relay', async () => {
    await bury('packers', 3)
    const page = await box.open('dead-letters')
    await expect.poll(() => box.rows(page, 'dead-letter-groups').allInnerTexts(), patience)
      .toEqual([expect.stringMatching(/packers\s+3/)])
    await lookAt(page, 'dead-letter-groups')
    await page.getByTestId('search').fill('shippers')
    await page.getByText('Nothing holds').waitFor()
    await page.getByTestId('search').fill('pack')
    await page.getByRole('link', { name: 'packers' }).click()
    await expect.poll(() => box.rows(page, 'letters').count(), patience).toBe(3)
    await page.goBack()
    await page.getByTestId('field-group').fill('no spaces')
    await page.getByTestId('show-group').click()
    await page.getByRole('alert').getByText('BAD_NAME').waitFor()
    await page.getByTestId('field-group').fill('nobody')
    await page.getByTestId('show-group').click()
    await page.getByTestId('letters-empty').waitFor()
  })

  test('are looked at, put back by ones, some and all, and purged with the group’s name', async () => {
    await bury('packers', 12)
    const page = await box.open('dead-letters?group=packers')
    const letters = box.rows(page, 'letters')
    await expect.poll(() => letters.count(), patience).toBe(12)
    expect(await letters.first().innerText()).toMatch(/orders\/\d@\d/)
    await page.getByTestId('message-row').first().click()
    await page.getByTestId('message-detail').getByText('DLQ_ORIGIN_TOPIC').waitFor()
    await lookAt(page, 'dead-letters')
    await page.getByTestId('resend-one').click()
    await expect.poll(() => letters.count(), patience).toBe(11)

    await page.getByTestId('pick').nth(0).check()
    await page.getByTestId('pick').nth(1).check()
    await page.getByText('2 picked').waitFor()
    await page.getByTestId('resend-picked').click()
    await expect.poll(() => letters.count(), patience).toBe(9)
    await page.getByText('2 put back').waitFor()

    await page.getByTestId('pick').nth(0).check()
    await page.getByTestId('purge-picked').click()
    await box.confirm(page, 'packers')
    await expect.poll(() => letters.count(), patience).toBe(8)
    await page.getByTestId('message-row').first().click()
    await page.getByTestId('purge-one').click()
    await page.getByTestId('confirm-cancel').click()
    expect((await box.mq.admin.deadLetters('packers')).length).toBe(8)
    await page.getByTestId('purge-one').click()
    await box.confirm(page, 'packers')
    await expect.poll(() => letters.count(), patience).toBe(7)

    const before = (await box.mq.admin.describeTopic('orders')).queues.reduce((sum, { maxOffset }) => sum + maxOffset, 0)
    await page.getByTestId('resend-all').click()
    await box.confirm(page, 'packers')
    await page.getByTestId('letters-empty').waitFor()
    const after = (await box.mq.admin.describeTopic('orders')).queues.reduce((sum, { maxOffset }) => sum + maxOffset, 0)
    expect(after - before).toBe(7)
  })

  test('are purged all at once, and somebody else’s purge is told', async () => {
    await bury('packers', 3)
    const page = await box.open('dead-letters?group=packers')
    await expect.poll(() => box.rows(page, 'letters').count(), patience).toBe(3)
    await page.getByTestId('pick').first().check()
    await page.getByTestId('purge-picked').click()
    await box.mq.admin.purgeDeadLetters('packers')
    await page.getByTestId('confirm-word').fill('packers')
    await page.getByTestId('confirm-go').click()
    await page.getByTestId('confirm').getByRole('alert').getByText('MESSAGE_NOT_FOUND').waitFor()
    await page.getByTestId('confirm-cancel').click()
    await page.getByTestId('letters-empty').waitFor()

    await bury('shippers', 4, 'parcels')
    const other = await box.open('dead-letters?group=shippers')
    await expect.poll(() => box.rows(other, 'letters').count(), patience).toBe(4)
    await other.getByTestId('purge-all').click()
    await box.confirm(other, 'shippers')
    await other.getByTestId('letters-empty').waitFor()
    expect(await box.mq.admin.deadLetters('shippers')).toEqual([])
  })

  test('are exported with all that is known of them, picked ones or all', async () => {
    await bury('packers', 5)
    const page = await box.open('dead-letters?group=packers')
    await expect.poll(() => box.rows(page, 'letters').count(), patience).toBe(5)
    async function exported(button: string): Promise<Record<string, unknown>[]> {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId(button).click()])
      expect(download.suggestedFilename()).toBe('dead-letters-packers.json')
      return JSON.parse(readFileSync(await download.path(), 'utf8')) as Record<string, unknown>[]
    }
    const letters = await box.mq.admin.deadLetters('packers')
    const all = await exported('export-all')
    expect(all.map(({ messageId }) => messageId)).toEqual(letters.map(({ messageId }) => messageId))
    expect(all[0]).toMatchObject({
      tag: 'paid', body: expect.stringMatching(/^\{"index":\d\}$/), properties: { DLQ_ORIGIN_TOPIC: 'orders', DLQ_ATTEMPTS: '1' },
    })
    await page.getByTestId('pick-all').check()
    await page.getByTestId('pick').first().uncheck()
    expect(await exported('export-picked')).toHaveLength(4)
  })
})

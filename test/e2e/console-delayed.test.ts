// The console's page of what is stored and not visible yet: delayed messages and half messages.

import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('delayed messages', () => {
  const box = setUpConsole()

  test('are listed as they are due, of all topics or of one, page by page, and taken back', async () => {
    const orders = box.mq.topic('orders')
    const reminders = box.mq.topic('reminders')
    const sends = Array.from({ length: 60 }, (_, index) => orders.send({ index }, { delay: `${index + 1}h` }))
    await Promise.all(sends)
    await reminders.send({ call: 'ben' }, { delay: '30m' })
    const page = await box.open('delayed')
    const rows = box.rows(page, 'delayed')
    await expect.poll(() => rows.count(), patience).toBe(50)
    expect(await rows.first().innerText()).toContain('reminders')
    await page.getByTestId('next-page').click()
    await expect.poll(() => rows.count(), patience).toBe(11)
    await page.getByTestId('previous-page').click()
    await expect.poll(() => rows.count(), patience).toBe(50)

    await page.getByTestId('field-topic').fill('no such topic')
    await page.getByTestId('show-topic').click()
    await page.getByRole('alert').getByText('BAD_NAME').waitFor()
    await page.getByTestId('field-topic').fill('reminders')
    await page.getByTestId('show-topic').click()
    await expect.poll(() => rows.count(), patience).toBe(1)
    await page.getByTestId('delayed-row').click()
    await page.getByTestId('message-detail').getByText('ben').waitFor()
    await lookAt(page, 'delayed')
    await page.getByTestId('recall').click()
    await box.confirm(page, 'reminders')
    await page.getByTestId('delayed-empty').waitFor()
    expect(await box.mq.admin.listDelayed({ topic: 'reminders' })).toEqual([])
  })

  test('that are due already are said to be', async () => {
    const topic = box.mq.topic('orders')
    const receipt = await topic.send({ late: true }, { delay: '1h' })
    const page = await box.open('delayed?topic=orders')
    await page.getByTestId('recall').click()
    // Somebody else was faster.
    await topic.recall(receipt.recallHandle ?? '')
    await page.getByTestId('confirm-word').fill('orders')
    await page.getByTestId('confirm-go').click()
    await page.getByTestId('confirm').getByRole('alert').getByText('MESSAGE_NOT_FOUND').waitFor()
    await page.getByTestId('confirm-cancel').click()
    await page.getByTestId('delayed-empty').waitFor()
  })

  test('and half messages are shown until their transaction ends', async () => {
    await box.mq.admin.createTopic('payments')
    await using producer = box.mq.transactions({ producerGroup: 'tills', check: () => 'unknown' })
    const transaction = producer.begin()
    await transaction.send(box.mq.topic('payments'), { paid: 12 })
    const page = await box.open('delayed')
    await expect.poll(() => box.rows(page, 'half-messages').allInnerTexts(), patience)
      .toEqual([expect.stringMatching(/tills[^]*payments/)])
    await lookAt(page, 'half-messages')
    await page.getByTestId('field-group').fill('bad name')
    await page.getByTestId('show-group').click()
    await page.getByRole('alert').getByText('BAD_NAME').waitFor()
    await page.getByTestId('field-group').fill('others')
    await page.getByTestId('show-group').click()
    await page.getByTestId('half-messages-empty').waitFor()
    await page.getByTestId('field-group').fill('tills')
    await page.getByTestId('show-group').click()
    await expect.poll(() => box.rows(page, 'half-messages').count(), patience).toBe(1)
    await transaction.rollback()
    await page.getByTestId('half-messages-empty').waitFor()
  })
})

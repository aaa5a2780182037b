// The console's pages of groups: thousands in the list, one made, one looked at while it works, and all that an operator does
// to it.

import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { connect } from '../../server/connect.ts'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')
const box = setUpConsole()

/** What is said beside a field. */
async function errorAt(page: Page, field: string): Promise<string> {
  const box = page.locator('.field').filter({ has: page.getByTestId(`field-${field}`) })
  return (await box.getByRole('alert').allInnerTexts()).join()
}

async function sendOrders(count: number, queueCount = 1): Promise<void> {
  await box.mq.admin.createTopic('orders', { queueCount })
  const orders = box.mq.topic('orders')
  await Promise.all(Array.from({ length: count }, (_, index) => orders.send({ index })))
}

/** The group's progress in queue 0 of `orders`. */
async function queueOf(group: string) {
  const { queues } = await box.mq.admin.describeGroup(group)
  return queues.find(({ topic, queueId }) => topic === 'orders' && queueId === 0)
}

/** One that has consumed five of ten orders. */
async function halfDone(group: string): Promise<void> {
  await sendOrders(10)
  await box.mq.admin.resetGroup(group, 'orders', { to: { offset: 5 }, queueId: 0 })
}

describe('the list of groups', () => {
  test('says what to do while there are none', async () => {
    const page = await box.open('groups')
    await page.getByTestId('groups-empty').waitFor()
    expect(await page.getByTestId('groups-empty').innerText()).toContain('New group')
    await lookAt(page, 'groups-empty')
  })

  test('shows thousands page by page, finds by name, and leads to one and back to the same rows', async () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `shop-${String(index).padStart(4, '0')}`)
    for (let first = 0; first < names.length; first += 500) {
      const some = names.slice(first, first + 500)
      await Promise.all(some.map((name) => box.mq.admin.configureGroup(name, {})))
    }
    await box.mq.admin.configureGroup('shop-0001', { paused: true })
    await sendOrders(12)
    await box.mq.admin.resetGroup('shop-0002', 'orders', { to: 'earliest' })
    const receiver = box.mq.topic('orders').receiver({ group: 'shop-0003' })
    await receiver.receive({ max: 1 })
    const page = await box.open('groups')
    const rows = box.rows(page, 'groups')
    await expect.poll(() => rows.count(), patience).toBe(50)
    await page.getByText('3,000 in all').waitFor()
    await expect.poll(() => rows.nth(1).innerText(), patience).toContain('paused')
    expect(await rows.nth(2).innerText()).toMatch(/shop-0002\s+0\s+12\s+nobody consumes/)
    expect(await rows.nth(3).innerText()).toMatch(/shop-0003\s+1\s+\d+\s+consumes/)
    await lookAt(page, 'groups')
    await page.getByTestId('next-page').click()
    await expect.poll(() => rows.first().innerText(), patience).toContain('shop-0050')
    await page.getByTestId('previous-page').click()
    await expect.poll(() => rows.first().innerText(), patience).toContain('shop-0000')
    await page.getByTestId('search').fill('-2999')
    await expect.poll(() => rows.count(), patience).toBe(1)
    await page.getByRole('link', { name: 'shop-2999' }).click()
    await page.getByRole('heading', { name: 'shop-2999' }).waitFor()
    await page.goBack()
    await expect.poll(() => rows.count(), patience).toBe(1)
    await page.getByTestId('search').fill('no such thing')
    await page.getByText('Nothing holds “no such thing”.').waitFor()
    await receiver.close()
  })

  test('makes a group, says beside the field what is wrong with it, and leaves one that is there alone', async () => {
    await box.mq.admin.configureGroup('packers', { maxAttempts: 3 })
    const page = await box.open('groups')
    await page.getByTestId('new-group').click()
    const go = () => page.getByTestId('create-group').click()
    const fill = (field: string, text: string) => page.getByTestId(`field-${field}`).fill(text)
    await go()
    await expect.poll(() => errorAt(page, 'group'), patience).toContain('BAD_NAME')
    await fill('group', 'no blanks please')
    await go()
    await expect.poll(() => errorAt(page, 'group'), patience).toContain('characters other than')
    await fill('group', 'x'.repeat(5_000))
    await go()
    await expect.poll(() => errorAt(page, 'group'), patience).toContain('5000 characters')
    await fill('group', 'packers')
    await go()
    await expect.poll(() => errorAt(page, 'group'), patience).toContain('is there already')
    await fill('group', 'printers')
    for (const [field, text, said] of [
      ['maxAttempts', 'many', 'whole number'], ['maxAttempts', '0', 'attemptCountMax'],
      ['maxAttempts', '99999999999', 'attemptCountMax'], ['maxInFlight', '-1', 'whole number'],
      ['maxInFlight', '2000000000', 'inFlightMax'], ['maxInFlightPerMember', '1.5', 'whole number'],
      ['maxInFlightPerMember', '2000000000', 'inFlightPerMemberMax'],
    ] as const) {
      await fill(field, text)
      await go()
      await expect.poll(() => errorAt(page, field), patience).toContain(said)
      await fill(field, '')
    }
    await page.getByTestId('field-retryKind').selectOption('schedule')
    for (const [text, said] of [['', 'a retry schedule has'], ['10s soon', 'soon'], ['99d', 'a retry delay is 0 to']] as const) {
      await fill('retryDelays', text)
      await go()
      await expect.poll(() => errorAt(page, 'retryDelays'), patience).toContain(said)
    }
    await page.getByTestId('field-retryKind').selectOption('exponential')
    await fill('retryMax', '10s')
    for (const [field, text, said, right] of [
      ['retryFirst', '', 'retry.first', '1s'], ['retryFirst', '0s', 'the first delay', '1s'],
      ['retryFactor', 'twice', 'whole number', '3'], ['retryFactor', '1000', 'the factor', '3'],
      ['retryMax', 'long', 'retry.max', '10s'], ['retryMax', '1ms', 'the longest delay', '1m'],
    ] as const) {
      await fill(field, text)
      await go()
      await expect.poll(() => errorAt(page, field), patience).toContain(said)
      await lookOnce(page, field)
      await fill(field, right)
    }
    await page.getByTestId('field-exhausted').selectOption('hold')
    await fill('maxAttempts', '7')
    await go()
    await page.getByRole('heading', { name: 'printers' }).waitFor()
    await page.getByText('Group printers is there').waitFor()
    expect(await box.mq.admin.describeGroup('printers')).toMatchObject({
      maxAttempts: 7, exhausted: 'hold', retry: { kind: 'exponential', firstMs: 1_000, factor: 3, maxMs: 60_000 },
    })
    expect(await box.mq.admin.describeGroup('packers')).toMatchObject({ maxAttempts: 3 })
  })
})

async function lookOnce(page: Page, field: string): Promise<void> {
  if (field === 'retryFactor') await lookAt(page, 'group-new')
}

describe('the page of a group', () => {
  test('shows who is in it and how far it is while it works, and is paused and resumed', async () => {
    await sendOrders(300, 3)
    const shop = await connect(box.relay.url, { name: 'warehouse' })
    const receiver = shop.topic('orders').receiver({ group: 'packers', filter: '*' })
    const reader = shop.topic('orders').consume({ group: 'packers', mode: 'BROADCASTING' })
    const received = await receiver.receive({ max: 12 })
    await Promise.all(received.slice(0, 4).map((message) => message.ack()))
    const page = await box.open('groups/packers')
    const figure = (name: string) => page.getByTestId(`figure-${name}`).innerText()
    await expect.poll(() => figure('in-flight'), patience).toBe(String(received.length - 4))
    expect(await figure('backlog')).toBe('296')
    expect(await figure('lag')).toMatch(/^[\d.]+ (ms|s)$/)
    expect(Number(await figure('delivered'))).toBeGreaterThan(0)
    await expect.poll(() => box.rows(page, 'members').count(), patience).toBe(2)
    const member = box.rows(page, 'members').filter({ hasText: 'CLUSTERING' })
    expect(await member.innerText()).toMatch(/warehouse\s+orders\s+CLUSTERING\s+\* TAG\s+127\.0\.0\.1.*\s+\d+/)
    expect(await box.rows(page, 'progress').count()).toBe(3)
    const own = (await box.mq.admin.describeGroup('packers')).queues
    for (const [index, { ackFloor, nextOffset, maxOffset, backlog }] of own.entries()) {
      const cells = await box.rows(page, 'progress').nth(index).locator('td').allInnerTexts()
      expect(cells.slice(0, 5)).toEqual(['orders', String(index), String(ackFloor), String(nextOffset), String(maxOffset)])
      expect(cells[8]).toBe(String(backlog))
    }
    await lookAt(page, 'group')

    await page.getByTestId('pause').click()
    await page.getByText('packers is paused').waitFor()
    await expect.poll(() => page.getByTestId('state').innerText(), patience).toContain('paused')
    expect((await box.mq.admin.describeGroup('packers')).paused).toBe(true)
    await page.getByTestId('pause').click()
    await expect.poll(() => page.getByTestId('state').innerText(), patience).toContain('hands out')
    expect((await box.mq.admin.describeGroup('packers')).paused).toBe(false)

    await page.getByRole('link', { name: 'Its dead letters' }).click()
    await page.getByTestId('page-dead-letters').waitFor()
    expect(new URL(page.url()).hash).toBe('#/dead-letters?group=packers')
    await page.goBack()
    await member.getByRole('link', { name: 'warehouse' }).click()
    await page.getByTestId('page-connections').waitFor()
    await expect.poll(() => box.rows(page, 'connections').count(), patience).toBe(1)
    expect(await box.rows(page, 'connections').innerText()).toContain('warehouse')
    await reader.close()
    await receiver.close()
    await shop.close()
  })

  test('moves its progress to the first message, the end, a time and an offset, and skips the backlog', async () => {
    await halfDone('packers')
    const page = await box.open('groups/packers')
    const reset = page.getByTestId('reset')
    const target = page.getByTestId('field-target')
    await expect.poll(() => page.getByTestId('field-topic').inputValue(), patience).toBe('orders')
    expect((await queueOf('packers'))?.ackFloor).toBe(5)

    await reset.click()
    await page.getByTestId('confirm').waitFor()
    await lookAt(page, 'group-reset')
    await page.getByTestId('confirm-cancel').click()
    expect((await queueOf('packers'))?.ackFloor).toBe(5)
    await reset.click()
    await box.confirm(page, 'packers')
    await page.getByText('packers was moved on orders').waitFor()
    expect((await queueOf('packers'))?.ackFloor).toBe(0)
    await expect.poll(() => page.getByTestId('figure-backlog').innerText(), patience).toBe('10')
    // What opened the confirmation has the focus again.
    expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.testid)).toBe('reset')

    await target.selectOption('offset')
    await page.getByTestId('field-offset').fill('7')
    await page.getByTestId('field-queueId').fill('0')
    await reset.click()
    await box.confirm(page, 'packers')
    await expect.poll(async () => (await queueOf('packers'))?.ackFloor, patience).toBe(7)

    await page.getByTestId('field-queueId').fill('')
    await target.selectOption('time')
    await page.getByTestId('field-from').fill('2020-01-01T00:00')
    await reset.click()
    await box.confirm(page, 'packers')
    await expect.poll(async () => (await queueOf('packers'))?.ackFloor, patience).toBe(0)

    await target.selectOption('latest')
    await reset.click()
    await box.confirm(page, 'packers')
    await expect.poll(async () => (await queueOf('packers'))?.backlog, patience).toBe(0)

    await box.mq.topic('orders').send({ one: 'more' })
    await expect.poll(() => page.getByTestId('figure-backlog').innerText(), patience).toBe('1')
    await page.getByTestId('skip').click()
    await page.getByText('Messages that are never delivered to it: 1.').waitFor()
    await box.confirm(page, 'packers')
    await page.getByText('packers goes on at the end of orders').waitFor()
    expect(await queueOf('packers')).toMatchObject({ ackFloor: 11, backlog: 0 })
  })

  test('says beside the field why its progress can’t be moved so, and moves nothing', async () => {
    await halfDone('packers')
    const page = await box.open('groups/packers')
    const reset = page.getByTestId('reset')
    const fill = (field: string, text: string) => page.getByTestId(`field-${field}`).fill(text)
    for (const button of ['reset', 'skip']) {
      await fill('topic', 'nowhere')
      await page.getByTestId(button).click()
      await expect.poll(() => errorAt(page, 'topic'), patience).toContain('TOPIC_NOT_FOUND')
      await fill('topic', 'no such')
      await page.getByTestId(button).click()
      await expect.poll(() => errorAt(page, 'topic'), patience).toContain('BAD_NAME')
    }
    await fill('topic', 'orders')
    await page.getByTestId('field-target').selectOption('time')
    await reset.click()
    await expect.poll(() => errorAt(page, 'from'), patience).toContain('takes a date')
    await page.getByTestId('field-target').selectOption('offset')
    await reset.click()
    await expect.poll(() => errorAt(page, 'offset'), patience).toContain('whole number')
    await fill('offset', '-3')
    await reset.click()
    await expect.poll(() => errorAt(page, 'offset'), patience).toContain('whole number')
    await fill('offset', '3')
    await reset.click()
    await expect.poll(() => errorAt(page, 'queueId'), patience).toContain('one of a queue')
    await fill('queueId', 'first')
    await reset.click()
    await expect.poll(() => errorAt(page, 'queueId'), patience).toContain('whole number')
    await lookAt(page, 'group-reset-refused')
    // Seen before anybody is asked to confirm.
    await fill('queueId', '9')
    await reset.click()
    await expect.poll(() => errorAt(page, 'queueId'), patience).toContain('QUEUE_NOT_FOUND')
    await fill('queueId', '0')
    await fill('offset', '4000')
    await reset.click()
    await expect.poll(() => errorAt(page, 'offset'), patience).toContain('OFFSET_OUT_OF_RANGE')
    expect((await queueOf('packers'))?.ackFloor).toBe(5)
  })

  test('decides on held messages: tried again, or buried', async () => {
    await box.mq.admin.createTopic('payments', { messageType: 'FIFO', queueCount: 1 })
    await box.mq.admin.configureGroup('bank', { maxAttempts: 1, exhausted: 'hold' })
    let isBroken = true
    const consumer = box.mq.topic('payments').consume({ group: 'bank' })
    const running = consumer.run(() => {
      if (isBroken) throw new Error('not today')
    })
    const held = async () => (await box.mq.admin.describeGroup('bank')).queues.reduce((sum, queue) => sum + queue.held, 0)
    await box.mq.topic('payments').send({ amount: 1 }, { messageGroup: 'a' })
    await expect.poll(held, patience).toBe(1)
    const page = await box.open('groups/bank')
    await page.getByText('payments: 1 held').waitFor()
    isBroken = false
    await page.getByTestId('retry-held').click()
    await page.getByText('begins anew').waitFor()
    await expect.poll(() => page.getByTestId('held').count(), patience).toBe(0)
    await expect.poll(held, patience).toBe(0)
    expect(await box.mq.admin.deadLetters('bank')).toEqual([])

    isBroken = true
    await box.mq.topic('payments').send({ amount: 2 }, { messageGroup: 'a' })
    await page.getByText('payments: 1 held').waitFor()
    await lookAt(page, 'group-held')
    await page.getByTestId('bury-held').click()
    await box.confirm(page, 'bank')
    await page.getByText('is among the dead letters').waitFor()
    await expect.poll(() => page.getByTestId('held').count(), patience).toBe(0)
    await expect.poll(async () => (await box.mq.admin.deadLetters('bank')).length, patience).toBe(1)
    await consumer.close()
    await running
  })

  test('is configured from what it is now', async () => {
    await box.mq.admin.configureGroup('packers', { maxAttempts: 4, retry: ['10s', '1m'], maxInFlight: 50, paused: true })
    const page = await box.open('groups/packers')
    const field = (name: string) => page.getByTestId(`field-${name}`)
    await expect.poll(() => field('maxAttempts').inputValue(), patience).toBe('4')
    expect(await field('retryKind').inputValue()).toBe('schedule')
    expect(await field('retryDelays').inputValue()).toBe('10s 1m')
    expect(await field('maxInFlight').inputValue()).toBe('50')
    await field('maxAttempts').fill('0')
    await page.getByTestId('save-group').click()
    await expect.poll(() => errorAt(page, 'maxAttempts'), patience).toContain('attemptCountMax')
    await field('maxAttempts').fill('9')
    await field('retryDelays').fill('1s 2s 5 minutes')
    await page.getByTestId('save-group').click()
    await expect.poll(() => errorAt(page, 'retryDelays'), patience).toContain('takes a unit')
    await field('retryDelays').fill('500ms, 2s 5m')
    await field('maxInFlightPerMember').fill('8')
    await field('exhausted').selectOption('hold')
    await page.getByTestId('save-group').click()
    await page.getByText('Settings of packers are saved').waitFor()
    expect(await box.mq.admin.describeGroup('packers')).toMatchObject({
      maxAttempts: 9, retry: { kind: 'schedule', delaysMs: [500, 2_000, 300_000] }, maxInFlight: 50, maxInFlightPerMember: 8,
      exhausted: 'hold', paused: true,
    })
  })

  test('deletes it once its name is typed, leads to the list, and is kind about a group that is not there', async () => {
    await halfDone('packers')
    const page = await box.open('groups/packers')
    await page.getByTestId('delete').click()
    await page.getByTestId('confirm').waitFor()
    await lookAt(page, 'group-delete')
    await page.getByTestId('confirm-cancel').click()
    await page.getByTestId('delete').click()
    await box.confirm(page, 'packers')
    await page.getByTestId('groups-empty').waitFor()
    expect(new URL(page.url()).hash).toBe('#/groups')
    expect(await box.mq.admin.listGroups()).toEqual([])
    const other = await box.open('groups/packers')
    await other.getByText('There is no group “packers”').waitFor()
    await lookAt(other, 'group-missing')
    await box.mq.admin.configureGroup('packers', {})
    await other.getByTestId('pause').waitFor()
    await box.mq.admin.deleteGroup('packers')
    await other.getByText('There is no group “packers”').waitFor()
    await other.getByRole('link', { name: 'To the groups' }).click()
    await other.getByTestId('groups-empty').waitFor()
  })

  test('shows the queues of many topics page by page, in Chinese too', async () => {
    for (let index = 0; index < 3; index++) {
      await box.mq.admin.createTopic(`t-${index}`, { queueCount: 20 })
      await box.mq.admin.resetGroup('packers', `t-${index}`, { to: 'earliest' })
    }
    const page = await box.open('groups/packers')
    const rows = box.rows(page, 'progress')
    await expect.poll(() => rows.count(), patience).toBe(50)
    await page.getByText('1 to 50 of 60').waitFor()
    await page.getByRole('button', { name: 'Next', exact: true }).click()
    await expect.poll(() => rows.count(), patience).toBe(10)
    expect(await rows.first().innerText()).toContain('t-2')
    await page.getByTestId('language').click()
    await page.getByRole('heading', { name: '进度', exact: true }).waitFor()
    await lookAt(page, 'group-zh')
  })
})

// The console as an operator meets it: signing in, the overview, the ways between pages, by keyboard, in both languages.
// What single pages do is in console-*.test.ts.

import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('the console', () => {
  const box = setUpConsole()

  test('shows what the relay does now, and follows it', async () => {
    const page = await box.open()
    await page.getByTestId('figure-topics').waitFor()
    const topic = box.mq.topic('orders')
    await box.mq.admin.createTopic('orders')
    await Promise.all(Array.from({ length: 300 }, (_, index) => topic.send({ index })))
    await expect.poll(() => page.getByTestId('figure-messages').innerText(), patience).toBe('300')
    expect(await page.getByTestId('figure-topics').innerText()).toBe('1')
    expect(await page.getByTestId('figure-connections').innerText()).toBe('2')
    await lookAt(page, 'overview')
  })

  test('leads from page to page by links, the keyboard and the way back, and speaks Chinese', async () => {
    const page = await box.open()
    expect(await page.title()).toContain('Overview')
    await page.getByRole('link', { name: 'Topics', exact: true }).focus()
    await page.keyboard.press('Enter')
    await page.getByTestId('page-topics').waitFor()
    // The page's beginning has the focus, so a reader begins there.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
    await page.goBack()
    await page.getByTestId('page-overview').waitFor()
    await page.getByTestId('language').click()
    await expect.poll(() => page.locator('html').getAttribute('lang'), patience).toBe('zh-CN')
    await page.getByRole('link', { name: '主题', exact: true }).waitFor()
    expect(await page.title()).toContain('总览')
    await lookAt(page, 'overview-zh')
  })

  test('says that the relay is out of reach while it shows what it knew', async () => {
    const page = await box.open('overview')
    // Connections that fail are logged by the browser.
    page.context().removeAllListeners('console')
    await box.relay.close()
    await page.getByText('what is shown is of before').waitFor()
    expect(await page.getByTestId('link').getAttribute('data-link')).toBe('waiting')
  })

  test('says so when it was shown out, and comes back when it is asked to', async () => {
    const page = await box.open()
    await page.getByTestId('figure-topics').waitFor()
    const own = (await box.mq.admin.listConnections()).find(({ clientName }) => clientName === 'console')
    await box.mq.admin.closeConnection(own?.clientId ?? '')
    await page.getByText('FORBIDDEN').waitFor()
    await page.getByTestId('try-again').click()
    await page.getByTestId('figure-topics').waitFor()
    expect(await page.getByTestId('link').getAttribute('data-link')).toBe('connected')
  })
})

describe('the console of a relay with tokens', () => {
  const box = setUpConsole({ tokens: ['open-sesame'] }, 'open-sesame')

  test('asks for one, says what is wrong with it, keeps it for the tab alone, and forgets it on the way out', async () => {
    const page = await box.open('overview', 'sign-in')
    await lookAt(page, 'sign-in')
    await page.getByTestId('token').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByText('UNAUTHENTICATED').waitFor()
    await page.getByTestId('token').fill('open-sesame')
    await page.keyboard.press('Enter')
    await page.getByTestId('page-overview').waitFor()
    await page.reload()
    await page.getByTestId('page-overview').waitFor()
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain('open-sesame')
    await page.getByTestId('sign-out').click()
    await page.getByTestId('token').waitFor()
    await page.reload()
    await page.getByTestId('token').waitFor()
  })
})

// The console's page of settings: what is in force, and all that is counted.

import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'
import { createLooks } from './support/page-looks.ts'

const { lookAt } = createLooks('console')

describe('the settings', () => {
  const box = setUpConsole()

  test('are shown with their meanings, and searched', async () => {
    const { settings, figures } = await box.mq.admin.describeRelay()
    const page = await box.open('settings')
    await expect.poll(() => box.rows(page, 'settings').count(), patience).toBe(settings.length)
    expect(await box.rows(page, 'figures').count()).toBe(figures.size)
    await lookAt(page, 'settings')
    await page.getByTestId('search').fill('RETENTION')
    const rows = box.rows(page, 'settings')
    await expect.poll(() => rows.count(), patience).toBeLessThan(settings.length)
    expect(await rows.allInnerTexts()).toContainEqual(expect.stringContaining('retention'))
    await page.getByTestId('search').fill('no such thing')
    await page.getByTestId('settings-empty').waitFor()
  })
})

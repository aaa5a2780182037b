// How a page of ours looks: photographed on a desktop and a phone, light and dark, into a folder that is not committed, and
// looked over by axe each time.

import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export const phone = { width: 390, height: 844 }
export const desktop = { width: 1440, height: 900 }

export interface Looks {
  /** As the page is now. */
  photograph(page: Page, name: string): Promise<void>
  /** As it is on a desktop and a phone, light and dark; axe looks at each, and nothing may be wider than the screen. */
  lookAt(page: Page, name: string): Promise<void>
}

/** Pictures go to `test/screenshots/<folder>`. */
export function createLooks(folder: 'demo' | 'console'): Looks {
  const shots = join(import.meta.dirname, '../../screenshots', folder)
  mkdirSync(shots, { recursive: true })

  async function photograph(page: Page, name: string): Promise<void> {
    await page.screenshot({ path: join(shots, `${name}.png`) })
  }

  async function lookAt(page: Page, name: string): Promise<void> {
    for (const [size, viewport] of [['desktop', desktop], ['phone', phone]] as const) {
      await page.setViewportSize(viewport)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        await page.waitForFunction(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
        await photograph(page, `${name}-${size}-${colorScheme}`)
        expect(await faultsOf(page), `${name}, ${size}, ${colorScheme}`).toEqual([])
      }
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      expect(overflow, `${name} is wider than a ${size}`).toBe(0)
    }
    await page.setViewportSize(desktop)
    await page.emulateMedia({ colorScheme: 'light' })
  }

  return { photograph, lookAt }
}

interface Axe {
  run(options: object): Promise<{
    violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[]
  }>
}

/** Breaches of WCAG 2.2 A and AA. */
export async function faultsOf(page: Page): Promise<string[]> {
  // Not by a script element: the page's policy lets in no other script.
  await page.evaluate(axeSource)
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: Axe }
    const { violations } = await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary ?? ''}`))
  })
}

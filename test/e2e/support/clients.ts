// Tabs with the real client, and what came of a scenario: the journals of all tabs as one history, for the checkers of
// the simulation.

import type { Browser as PuppeteerBrowser, BrowserContext as PuppeteerContext, Page as PuppeteerPage } from 'puppeteer-core'
import type { BrowserContext } from 'playwright-core'
import { expect } from 'vitest'
import { findAttemptsNotCounted } from '../../checkers/attempts.ts'
import { countDuplicates, countReaderDuplicates } from '../../checkers/duplicates.ts'
import { eventsOf, type History, type HistoryEvent } from '../../checkers/history.ts'
import { findLost, type IsMeant } from '../../checkers/no-loss.ts'
import { findOrderViolations, findReaderOrderViolations } from '../../checkers/order.ts'
import { findPhantoms } from '../../checkers/phantom.ts'
import type { ClientPage, ClientPageOptions, Seen } from '../pages/client.ts'
import type { JournalEntry } from '../pages/journal.ts'
import { openTab, type PageServer, type Tab } from './pages.ts'

export type ClientTab = Tab<ClientPage>

/** A tab whose client is connected. The test's own worker serves it unless `build` is undefined. */
export async function openClient(
  context: BrowserContext, pages: PageServer, { build = 'a', ...options }: ClientPageOptions,
): Promise<ClientTab> {
  const tab = await openTab<ClientPage>(context, pages.urlOf('client'))
  await tab.call('connect', { build, ...options })
  return tab
}

/** How long a scenario may take to come to an end that it waits for; far more than it needs. */
export const patience = { timeout: 20_000, interval: 50 } as const

/** Waits until the tab's consumer has seen so many different messages. */
export async function untilSeen(tab: Pick<ClientTab, 'call'>, id: string, count: number): Promise<readonly Seen[]> {
  await expect.poll(() => tab.call('seenCount', id), patience).toBeGreaterThanOrEqual(count)
  return tab.call('seen', id)
}

export function namesOf(seen: readonly Seen[]): string[] {
  return seen.map(({ name }) => name)
}

/** `prefix-0` and so on, as `startSending` names them. */
export function namesFrom(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
}

/** Waits until the tab has receipts of so many of its messages. */
export async function untilAcknowledged(tab: Pick<ClientTab, 'call'>, prefix: string, count: number): Promise<void> {
  await expect.poll(async () => (await tab.call('sendingCounts', prefix)).acknowledged, patience).toBeGreaterThanOrEqual(count)
}

/** The tab has met so many engines, and is with the last of them. */
export async function untilLives(tab: Pick<ClientTab, 'call'>, count: number): Promise<void> {
  const lives = async () => 1 + (await tab.call('events')).filter((event) => event === 'running').length
  await expect.poll(lives, patience).toBeGreaterThanOrEqual(count)
}

/** The group has consumed everything; where a prefix is given, all of what is sent under it. */
export async function untilConsumed(tab: Pick<ClientTab, 'call'>, group: string, prefix?: string, count = 0): Promise<void> {
  if (prefix !== undefined) await untilAcknowledged(tab, prefix, count)
  await expect.poll(async () => {
    const { queues } = await tab.call('admin', 'describeGroup', [group]) as {
      queues: readonly { readonly backlog: number; readonly inFlight: number }[]
    }
    return queues.reduce((sum, { backlog, inFlight }) => sum + backlog + inFlight, 0)
  }, patience).toBe(0)
}

// ── histories ───────────────────────────────────────────────────────────────────────────────────────────────────

/** What is written at the same time happened in this order. */
const ranks: Partial<Record<HistoryEvent['kind'], number>> = {
  sent: 0, acknowledged: 1, disconnected: 2, 'lease-lost': 3, acking: 5, consumed: 6, retried: 6, killed: 7,
}

/**
 * The journals of everything that the profiles of these tabs have had, as one history. `gone`: tabs that have ended without
 * having closed their clients; nobody but the test can say so.
 */
export async function historyOf(tabs: readonly Pick<ClientTab, 'call'>[], gone: readonly string[] = []): Promise<History> {
  const entries = (await Promise.all(tabs.map((tab) => tab.call('journals')))).flat()
  return asHistory(entries, gone)
}

function asHistory(entries: readonly JournalEntry[], gone: readonly string[]): History {
  const deaths = gone.map((tab): JournalEntry => ({
    timeMs: Math.max(0, ...entries.filter((entry) => entry.tab === tab).map(({ timeMs }) => timeMs)),
    tab,
    event: { kind: 'killed', member: tab },
  }))
  return [...entries, ...deaths]
    .sort((a, b) => a.timeMs - b.timeMs || (ranks[a.event.kind] ?? 4) - (ranks[b.event.kind] ?? 4))
    .map(({ event }) => event)
}

export interface Expected {
  /** Which messages the group is for; default: all. */
  readonly isMeant?: IsMeant
  /** Messages of a message group come in order; without, nothing is said about order. */
  readonly isOrdered?: boolean
  /** Each member reads for itself. */
  readonly isBroadcasting?: boolean
}

/** No acknowledged message is lost, none comes twice without a reason, none from nowhere, and order holds. */
export function expectSound(history: History, group: string, expected: Expected = {}): void {
  const { isMeant, isOrdered = false, isBroadcasting = false } = expected
  expect(eventsOf(history, 'acknowledged').length, 'something was sent').toBeGreaterThan(0)
  const { unjustified } = isBroadcasting ? countReaderDuplicates(history, group) : countDuplicates(history, group)
  const violations = {
    lost: findLost(history, group, isMeant),
    unjustified,
    phantoms: findPhantoms(history, group, isMeant),
    order: !isOrdered ? [] : isBroadcasting ? findReaderOrderViolations(history, group) : findOrderViolations(history, group),
    attempts: isBroadcasting ? [] : findAttemptsNotCounted(history, group),
  }
  expect(violations).toEqual({ lost: [], unjustified: [], phantoms: [], order: [], attempts: [] })
}

// ── tabs that can be hidden ─────────────────────────────────────────────────────────────────────────────────────

export interface LifelikeTab extends Pick<ClientTab, 'call'> {
  readonly page: PuppeteerPage
}

export async function openLifelikeClient(
  context: PuppeteerBrowser | PuppeteerContext, pages: PageServer, { build = 'a', ...options }: ClientPageOptions,
): Promise<LifelikeTab> {
  const page = await context.newPage()
  await page.goto(pages.urlOf('client'))
  await page.waitForFunction(() => 'probe' in window)
  const tab: LifelikeTab = {
    page,
    call: (name, ...args) => page.evaluate(
      (name, args) => {
        const { probe } = window as unknown as { probe: Record<string, (...args: unknown[]) => unknown> }
        return probe[name]?.(...args)
      },
      name, args as unknown[],
    ) as never,
  }
  await tab.call('connect', { build, ...options })
  return tab
}

// The relay's figures over the last minutes: asked for every second while the page is seen, totals turned into rates, kept in
// rings of fixed size. One for the whole console, so a chart has its past when its page is opened.

import { type ReadonlySignal, signal } from '@preact/signals'
import type { Admin, PocketError, RelayInfo } from '../../core/index.ts'
import { type ChartData, createChartData } from '../shared/live-chart.tsx'
import { asPocketError } from './operator.ts'

/** What the charts show. */
export const pulseSpanMs = 5 * 60_000
const everyMs = 1_000
const pointCountMax = pulseSpanMs / everyMs

/** What the relay said last, and how fast its totals grew since the time before. */
export interface Beat {
  readonly info: RelayInfo
  /** Per second, by the name of the total; 0 where there was no time before. */
  readonly rates: ReadonlyMap<string, number>
}

export interface Pulse {
  readonly beat: ReadonlySignal<Beat | undefined>
  readonly error: ReadonlySignal<PocketError | undefined>
  /** Messages in and out per second. */
  readonly traffic: ChartData
  /** Messages stored and not consumed, and those in hand. */
  readonly backlog: ChartData
  /** Milliseconds that commits took, half of them and 99 of 100. */
  readonly commits: ChartData
  /** Begins; the function given ends it. */
  start(): () => void
}

function isSame(left: RelayInfo, right: RelayInfo): boolean {
  return left.figures.get('wireBytesOutTotal') === right.figures.get('wireBytesOutTotal')
}

export function createPulse(admin: Pick<Admin, 'describeRelay'>): Pulse {
  const beat = signal<Beat | undefined>(undefined)
  const error = signal<PocketError | undefined>(undefined)
  const [traffic, backlog, commits] = [2, 2, 2].map((count) => createChartData(count, pointCountMax)) as [
    ChartData, ChartData, ChartData,
  ]
  let lastMs = 0

  function take(info: RelayInfo, nowMs: number): void {
    const before = beat.value?.info
    // A busy relay gives an older look again; a new one has at least counted the answer before it.
    if (before !== undefined && before.startedMs === info.startedMs && isSame(before, info)) return
    // Another start of the relay counts from nothing, and a pause of minutes is no rate of now.
    const spanMs = before?.startedMs === info.startedMs ? nowMs - lastMs : 0
    const rates = new Map<string, number>()
    for (const [name, value] of info.figures) {
      if (!name.endsWith('Total')) continue
      const grown = spanMs <= 0 ? 0 : value - (before?.figures.get(name) ?? value)
      rates.set(name, spanMs <= 0 ? 0 : Math.max(0, grown * 1_000 / spanMs))
    }
    lastMs = nowMs
    beat.value = { info, rates }
    const figure = (name: string): number => info.figures.get(name) ?? 0
    if (before !== undefined) {
      traffic.add(Date.now(), [rates.get('messagesInTotal') ?? 0, rates.get('messagesOutTotal') ?? 0])
    }
    backlog.add(Date.now(), [figure('backlog'), figure('inFlight')])
    commits.add(Date.now(), [figure('commitMicrosP50') / 1_000, figure('commitMicrosP99') / 1_000])
  }

  return {
    beat, error, traffic, backlog, commits,
    start() {
      let isOver = false
      let isAsking = false
      let timer: ReturnType<typeof setTimeout> | undefined
      async function ask(): Promise<void> {
        if (isAsking || isOver) return
        isAsking = true
        clearTimeout(timer)
        try {
          const info = await admin.describeRelay()
          if (!isOver) take(info, performance.now())
          error.value = undefined
        } catch (thrown) {
          if (!isOver) error.value = asPocketError(thrown)
        }
        isAsking = false
        if (!isOver && !document.hidden) timer = setTimeout(() => void ask(), everyMs)
      }
      const shown = (): void => {
        if (!document.hidden) void ask()
      }
      document.addEventListener('visibilitychange', shown)
      void ask()
      return () => {
        isOver = true
        clearTimeout(timer)
        document.removeEventListener('visibilitychange', shown)
      }
    },
  }
}

// What PocketMQ means to reach in a browser, and whether this run says it does.

import { bareIdb, fullPace, type Figures, type Pace, pocketmq, type ScenarioName } from './scenario.ts'
import type { Result } from './run.ts'

export interface TargetOutcome {
  readonly target: string
  /** What was measured, with its unit. */
  readonly measured: string
  readonly isMet: boolean
}

/** The outcome of every target that this run has the figures for. */
export function judgeTargets(results: readonly Result[], pace: Pace): TargetOutcome[] {
  const find = (scenario: ScenarioName, system: string, load?: string): Figures =>
    results.find((result) => result.scenario === scenario && result.system === system && (load ?? result.load) === result.load)
      ?.figures ?? {}
  const rates = results.flatMap(({ scenario, system, figures }) =>
    (scenario === 'send' && system === pocketmq ? figures.messagesPerSecond ?? [] : []))
  const best = rates.length === 0 ? undefined : Math.max(...rates)
  const [lone, bare] = [find('lone-send', pocketmq).p50Ms, find('lone-send', bareIdb, 'strict transaction').p50Ms]
  const tabs = find('tab-to-tab', pocketmq)
  const memories = results.filter(({ scenario }) => scenario === 'memory').map(({ figures }) => figures)
  const cold = pace.storedCount === fullPace.storedCount ? find('cold-start', pocketmq).firstMs : undefined
  const isHour = pace.trafficCount === fullPace.trafficCount
  return [
    judge('send, strict, pipelined: 150,000 msg/s', best, 150_000, 'msg/s', 0, true),
    judge('lone send: p50 of 1.5 times a strict transaction', lone && bare && lone / bare, 1.5, 'times', 2),
    judge('tab to tab: p50 of 2 ms', tabs.p50Ms, 2, 'ms', 2),
    judge('tab to tab: p99 of 10 ms', tabs.p99Ms, 10, 'ms', 2),
    judge('catch-up from a relay: 100,000 msg/s', find('catch-up', pocketmq).messagesPerSecond, 100_000, 'msg/s', 0, true),
    judge('cold start with 1 M stored: first delivery in 150 ms', cold, 150, 'ms', 0),
    // Less than a page of memory in a thousand messages is none.
    judge('engine heap: flat over 2 M messages (1 B each)', isHour ? memories[0]?.bytesPerMessage : undefined, 1, 'B/message', 2),
    judge('subscription: 1 KiB of the page', memories[1]?.subscriptionBytes, 1_024, 'B', 0),
  ].flatMap((outcome) => outcome ?? [])
}

function judge(
  target: string, value: number | undefined, bound: number, unit: string, decimals: number, isAtLeast = false,
): TargetOutcome | undefined {
  if (value === undefined || Number.isNaN(value)) return undefined
  const shown = value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
  return { target, measured: `${shown} ${unit}`, isMet: isAtLeast ? value >= bound : value <= bound }
}

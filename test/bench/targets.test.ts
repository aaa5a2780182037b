// Targets are judged by the figures they name, and not at all where those are missing.

import { describe, expect, test } from 'vitest'

import { fullPace, quickPace } from './job.ts'
import { judgeTargets } from './targets.ts'
import type { Figures } from './figures.ts'
import type { Result } from './run.ts'
import type { ScenarioName } from './job.ts'

describe('judgeTargets', () => {
  test('takes the cost of tracing from the rates with and without it', () => {
    const traced = resultOf('traced-queue', 'pocketmq', { messagesPerSecond: 700 })
    const plain = resultOf('traced-queue', 'pocketmq-plain', { messagesPerSecond: 1000 })
    expect(judgeTargets([traced, plain], fullPace)).toMatchObject([{ measured: '30.0 %', isMet: false }])
    const cheaper = resultOf('traced-queue', 'pocketmq', { messagesPerSecond: 800 })
    expect(judgeTargets([cheaper, plain], fullPace)).toMatchObject([{ measured: '20.0 %', isMet: true }])
    expect(judgeTargets([traced], fullPace)).toEqual([])
  })

  test('judges lateness by the full million alone', () => {
    const delayed = resultOf('delayed', 'pocketmq', { lateP99Ms: 20 })
    const scattered = resultOf('delayed-scattered', 'pocketmq', { lateP99Ms: 21 })
    expect(judgeTargets([delayed, scattered], fullPace)).toMatchObject([{ measured: '20 ms', isMet: true }, { isMet: false }])
    expect(judgeTargets([delayed], quickPace)).toEqual([])
  })

  test('judges both kinds of filter', () => {
    const filters = resultOf('filter-cost', 'in-process', { tagMicros: 0.11, sqlMicros: 0.9 }, 0)
    expect(judgeTargets([filters], fullPace).map(({ isMet }) => isMet)).toEqual([false, true])
  })
})

function resultOf(scenario: ScenarioName, system: string, figures: Figures, bodyBytes = 100): Result {
  return { scenario, system, bodyBytes, figures, rounds: [figures], failures: [] }
}

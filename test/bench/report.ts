// The tables and notes that a run ends with, as text. Pure.

import Table from 'cli-table3'

import { figureHeadings, timesBetter } from './figures.ts'
import { median } from './stats.ts'
import { scenarios } from './scenarios/index.ts'
import type { FigureName } from './figures.ts'
import type { Machine } from './machine.ts'
import type { Result } from './run.ts'
import type { Scenario } from './scenarios/scenario.ts'
import type { System } from './systems/system.ts'
import type { TargetOutcome } from './targets.ts'

export interface Report {
  readonly machine: Machine
  readonly results: readonly Result[]
  readonly targets: readonly TargetOutcome[]
  readonly notes: readonly string[]
  readonly systems: readonly System[]
}

/** The whole report, ending in a line feed. */
export function formatReport({ machine, results, targets, notes, systems }: Report): string {
  const tables = scenarios.flatMap((scenario) => {
    const rows = results.filter((result) => result.scenario === scenario.name)
    return rows.length === 0 ? [] : [formatScenario(scenario, rows, systems)]
  })
  const sections = [formatMachine(machine), ...tables]
  if (targets.length > 0) sections.push(formatTargets(targets))
  if (notes.length > 0) sections.push(['Notes', ...notes.map((note) => `- ${note}`)].join('\n'))
  return `${sections.join('\n\n')}\n`
}

function formatMachine({ cpu, coreCount, memoryGib, os, node, date }: Machine): string {
  return `${cpu}, ${coreCount} cores, ${memoryGib} GiB · ${os} · Node ${node} · ${date.slice(0, 10)}`
}

function formatScenario(scenario: Scenario, rows: readonly Result[], systems: readonly System[]): string {
  const titleOf = (name: string): string => systems.find((system) => system.name === name)?.title ?? name
  const anchors = scenario.anchors.filter(({ system }) => rows.some((row) => row.system === system))
  const table = createTable([
    'system',
    'body',
    ...scenario.figures.map((name) => figureHeadings[name].heading),
    ...anchors.map(({ system }) => `x ${system}`),
  ])
  for (const row of rows) {
    const anchorOf = (system: string) => rows.find((row2) => row2.system === system && row2.bodyBytes === row.bodyBytes)
    table.push([
      titleOf(row.system),
      row.bodyBytes === 0 ? '–' : `${row.bodyBytes} B`,
      ...scenario.figures.map((name, index) => formatFigure(row, name, index === 0)),
      ...anchors.map(({ system, figure }) => formatRatio(row, anchorOf(system), figure)),
    ])
  }
  return `${scenario.name} · ${scenario.title}\n${table.toString()}`
}

function formatFigure(row: Result, name: FigureName, isFirst: boolean): string {
  if (row.rounds.length === 0) return isFirst ? 'failed' : ''
  const value = row.figures[name]
  return value === undefined ? '–' : formatNumber(value, figureHeadings[name].decimals)
}

/** How many times better than the anchor; the median over rounds, each compared with the anchor's same round. */
function formatRatio(row: Result, anchor: Result | undefined, figure: FigureName): string {
  if (anchor === undefined || row.rounds.length === 0 || anchor.rounds.length === 0) return ''
  const pairs =
    row.rounds.length === anchor.rounds.length
      ? row.rounds.map((figures, index) => timesBetter(figure, figures, anchor.rounds[index] ?? {}))
      : [timesBetter(figure, row.figures, anchor.figures)]
  const ratios = pairs.filter((ratio) => ratio !== undefined)
  if (ratios.length === 0) return ''
  const ratio = median(ratios)
  return formatNumber(ratio, ratio < 10 ? 2 : 0)
}

function formatTargets(targets: readonly TargetOutcome[]): string {
  const table = createTable(['what PocketMQ means to reach', 'measured', ''])
  for (const { target, measured, isMet } of targets) table.push([target, measured, isMet ? 'met' : 'MISSED'])
  return table.toString()
}

function formatNumber(value: number, decimals: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
}

/** First column to the left, numbers to the right, lines only around and below the head. */
function createTable(head: readonly string[]) {
  return new Table({
    head: [...head],
    colAligns: head.map((_, index) => (index === 0 ? 'left' : 'right')),
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    style: { head: [], border: [], compact: true },
  })
}

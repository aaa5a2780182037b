// The tables and notes that a run ends with, as text. Pure.

import Table from 'cli-table3'
import type { Machine } from '../bench/machine.ts'
import type { Outcome, Result } from './run.ts'
import { type FigureName, figureHeadings, type Scenario } from './scenario.ts'
import type { TargetOutcome } from './targets.ts'

export interface Report extends Outcome {
  readonly machine: Machine
  readonly scenarios: readonly Scenario[]
  readonly targets: readonly TargetOutcome[]
  readonly notes: readonly string[]
}

/** The whole report, ending in a line feed. */
export function formatReport({ machine, browser, backend, scenarios, results, targets, notes }: Report): string {
  const { cpu, coreCount, memoryGib, os, date } = machine
  const hardware = `${cpu}, ${coreCount} cores, ${memoryGib} GiB`
  const sections = [
    `${hardware} · ${os} · ${browser}, IndexedDB on ${backend}, profile on disk · ${date.slice(0, 10)}`,
    ...scenarios.map((scenario) => formatScenario(scenario, results.filter((result) => result.scenario === scenario.name))),
  ]
  if (targets.length > 0) {
    const table = createTable(['what PocketMQ means to reach', 'measured', ''])
    for (const { target, measured, isMet } of targets) table.push([target, measured, isMet ? 'met' : 'MISSED'])
    sections.push(table.toString())
  }
  if (notes.length > 0) sections.push(['Notes', ...notes.map((note) => `- ${note}`)].join('\n'))
  return `${sections.join('\n\n')}\n`
}

function formatScenario({ name, title, figures }: Scenario, rows: readonly Result[]): string {
  const table = createTable(['', '', ...figures.map((figure) => figureHeadings[figure].heading)])
  for (const row of rows) {
    table.push([row.system, row.load, ...figures.map((figure, at) => formatFigure(row, figure, at === 0))])
  }
  return `${name} · ${title}\n${table.toString()}`
}

function formatFigure(row: Result, name: FigureName, isFirst: boolean): string {
  if (row.rounds.length === 0) return isFirst ? 'failed' : ''
  const value = row.figures[name]
  if (value === undefined) return '–'
  const { decimals } = figureHeadings[name]
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
}

/** First two columns to the left, numbers to the right, lines only around and below the head. */
function createTable(head: readonly string[]) {
  return new Table({
    head: [...head],
    colAligns: head.map((_, index) => (index < 2 && head[0] === '' || index === 0 ? 'left' : 'right')),
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    style: { head: [], border: [], compact: true },
  })
}

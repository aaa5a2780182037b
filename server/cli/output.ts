// What commands print: tables for people, JSON for programs.

import Table from 'cli-table3'
import { once } from 'node:events'
import type { CommandContext } from './context.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** A table without frames: titles, a line, rows. Ends with a newline. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: columns.map((column) => column.title),
    colAligns: columns.map((column) => column.align ?? 'left'),
    chars: {
      'top': '', 'top-mid': '', 'top-left': '', 'top-right': '',
      'bottom': '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
      'left': '', 'left-mid': '', 'mid': '', 'mid-mid': '', 'right': '', 'right-mid': '', 'middle': '  ',
    },
    style: { 'padding-left': 0, 'padding-right': 0, 'head': [], 'border': [] },
  })
  table.push(...rows.map((row) => [...row]))
  const lines = table.toString().split('\n').map((line) => line.trimEnd())
  const width = Math.max(...lines.map((line) => line.length))
  return [lines[0], '─'.repeat(width), ...lines.slice(1)].join('\n') + '\n'
}

/** Names and values below each other. */
export function formatFields(fields: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length))
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd()).join('\n') + '\n'
}

/** One JSON document. Maps become objects, bytes never come here. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

/** One line of a JSON stream. */
export function formatJsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** Writes, and waits while the reader of our output is behind. */
export async function write(context: CommandContext, text: string, signal?: AbortSignal): Promise<void> {
  if (context.output.write(text) || context.output.destroyed) return
  await once(context.output, 'drain', signal === undefined ? {} : { signal }).catch(ignoreAbort)
}

function ignoreAbort(error: Error): void {
  if (error.name !== 'AbortError') throw error
}

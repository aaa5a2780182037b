// Tables: rows of anything in columns, and lists that the relay gives page by page, searched by the relay. A table that is
// wider than the screen scrolls in itself, by keyboard too.

import './table.css'
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Button, Field, Notice } from '../shared/controls.tsx'
import { type Answer, useAnswer } from './answer.ts'
import { textOf } from './form.ts'
import { route, setQuery } from './route.ts'
import { texts } from './texts.ts'

export interface Column<T> {
  readonly title: string
  readonly cell: (row: T) => ComponentChildren
  /** In the head instead of the title. */
  readonly head?: ComponentChildren
  /** Of numbers, so that their digits stand below each other. */
  readonly isNumber?: boolean
  /** Left out on a phone. */
  readonly isMinor?: boolean
}

export interface TableProps<T> {
  /** What the rows are, for who can't see the table. */
  readonly label: string
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly keyOf: (row: T) => string | number
  /** Instead of rows, where there are none. */
  readonly empty: ComponentChildren
  readonly testId?: string
}

export function Table<T>({ label, columns, rows, keyOf, empty, testId }: TableProps<T>): JSX.Element {
  if (rows.length === 0) return <p class="hint" data-testid={testId === undefined ? undefined : `${testId}-empty`}>{empty}</p>
  return (
    <div class="table-box" role="region" aria-label={label} tabIndex={0}>
      <table data-testid={testId}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" class={classOf(column)}>{column.head ?? column.title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => <td key={column.title} class={classOf(column)}>{column.cell(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function classOf({ isNumber, isMinor }: Column<never>): string | undefined {
  const names = [isNumber === true ? 'number' : '', isMinor === true ? 'minor' : ''].filter((name) => name !== '')
  return names.length === 0 ? undefined : names.join(' ')
}

/** Rows of one page of a list. */
export const pageRowCount = 50
const searchDelayMs = 250

export interface ListingProps<T> extends Omit<TableProps<T>, 'rows' | 'keyOf'> {
  /** Names a row: the list goes on behind the name of the last one. */
  readonly nameOf: (row: T) => string
  /** At most `max` rows whose name holds `containing`, behind `after`. */
  readonly load: (page: { containing: string; after: string; max: number }) => Promise<readonly T[]>
  /** Of the field to search by. */
  readonly searchLabel: string
  /** Rows in all, where the relay says. */
  readonly totalCount?: number
  readonly actions?: ComponentChildren
  readonly everyMs?: number
  /** Receives the answer, to refresh it after a change. */
  readonly answerRef?: { current: Answer<readonly T[]> | undefined }
}

/**
 * A list that is as long as it may be. What is searched for and where the page begins stand in the address (`find`,
 * `after`), so the way back from a row leads to the same rows.
 */
export function Listing<T>(props: ListingProps<T>): JSX.Element {
  const { load, nameOf, searchLabel, totalCount, actions, everyMs = 3_000, answerRef, empty, ...table } = props
  const t = texts().listing
  const containing = route.value.query.get('find') ?? ''
  const after = route.value.query.get('after') ?? ''
  const answer = useAnswer(() => load({ containing, after, max: pageRowCount + 1 }), [containing, after], { everyMs })
  if (answerRef !== undefined) answerRef.current = answer
  const rows = answer.value?.slice(0, pageRowCount) ?? []
  const last = rows.at(-1)
  const hasMore = (answer.value?.length ?? 0) > pageRowCount

  return (
    <div class="stack">
      <div class="row listing-head">
        <Search label={searchLabel} found={containing} search={(find) => setQuery({ find, after: undefined })} />
        {actions}
      </div>
      <Notice>{answer.error === undefined ? undefined : textOf(answer.error)}</Notice>
      {answer.isWaiting
        ? <p class="hint" role="status">{t.loading}</p>
        : answer.value !== undefined && (
          <Table {...table} rows={rows} keyOf={nameOf} empty={containing === '' ? empty : t.nothingFound(containing)} />
        )}
      <Pager
        after={after} next={hasMore && last !== undefined ? nameOf(last) : undefined}
        totalCount={containing === '' ? totalCount : undefined}
      />
    </div>
  )
}

export interface PagerProps {
  /** Where the page that is shown begins: behind this name. Empty is the first page. */
  readonly after: string
  /** Where the next page would begin; undefined on the last. */
  readonly next: string | undefined
  readonly totalCount?: number | undefined
}

/** The ways to the pages before and behind, by the address's `after`; nothing where there is only one. */
export function Pager({ after, next, totalCount }: PagerProps): JSX.Element {
  const t = texts().listing
  /** Where each page that was shown began; a page opened by its address has only the first before it. */
  const starts = useRef<string[]>([])
  return (
    <div class="actions">
      {(after !== '' || next !== undefined) && (
        <nav class="actions" aria-label={t.pages}>
          <Button disabled={after === ''} testId="previous-page" onClick={() => setQuery({ after: starts.current.pop() })}>
            {t.previous}
          </Button>
          <Button
            disabled={next === undefined} testId="next-page" onClick={() => {
              starts.current.push(after)
              setQuery({ after: next })
            }}
          >
            {t.next}
          </Button>
        </nav>
      )}
      {totalCount !== undefined && <span class="soft">{t.total(totalCount)}</span>}
    </div>
  )
}

/** Asks for what is typed once the typing pauses. */
function Search({ label, found, search }: { label: string; found: string; search: (text: string) => void }): JSX.Element {
  const [typed, setTyped] = useState(found)
  useEffect(() => {
    if (typed.trim() === found) return undefined
    const timer = setTimeout(() => search(typed.trim()), searchDelayMs)
    return () => clearTimeout(timer)
  }, [typed])
  return <Field label={label} type="search" value={typed} onInput={setTyped} testId="search" />
}

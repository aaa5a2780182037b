// A table of rows that are all here already, shown so many at a time: the members of a group, the queues of its topics. What
// the relay gives page by page is table.tsx' Listing.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Button } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { pageRowCount, Table, type TableProps } from '../table.tsx'
import { texts } from '../texts.ts'

const en = {
  shown: (first: number, last: number, total: number) =>
    `${formatCount(first)} to ${formatCount(last)} of ${formatCount(total)}`,
}
const zh: typeof en = {
  shown: (first, last, total) => `第 ${formatCount(first)} 至 ${formatCount(last)} 条，共 ${formatCount(total)} 条`,
}

/** Without buttons where all rows fit on one page. */
export function PagedTable<T>({ rows, ...table }: TableProps<T>): JSX.Element {
  const t = textsOf(en, zh)
  const listing = texts().listing
  const [pageIndex, setPageIndex] = useState(0)
  // The rows may have become fewer.
  const index = Math.min(pageIndex, Math.max(0, Math.ceil(rows.length / pageRowCount) - 1))
  const first = index * pageRowCount
  const shown = rows.slice(first, first + pageRowCount)
  if (rows.length <= pageRowCount) return <Table {...table} rows={rows} />
  return (
    <>
      <Table {...table} rows={shown} />
      <nav class="actions listing-pages" aria-label={`${listing.pages}: ${table.label}`}>
        <Button disabled={index === 0} onClick={() => setPageIndex(index - 1)}>{listing.previous}</Button>
        <Button disabled={first + pageRowCount >= rows.length} onClick={() => setPageIndex(index + 1)}>{listing.next}</Button>
        <span class="soft">{t.shown(first + 1, first + shown.length, rows.length)}</span>
      </nav>
    </>
  )
}

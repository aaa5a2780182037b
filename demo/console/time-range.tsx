// A range of time as operators mean it: the last minutes, hours or days, all of it, or between two moments.

import type { JSX } from 'preact'
import { PocketError } from '../../core/index.ts'
import { Choice, Field } from '../shared/controls.tsx'
import { texts } from './texts.ts'
import { momentOf } from './values.ts'

/** Spans in milliseconds by their names. */
const spansMs = { minutes: 15 * 60_000, hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 } as const
const spans = ['minutes', 'hour', 'day', 'week', 'all', 'between'] as const

export type Span = (typeof spans)[number]

/** Its texts, as a form keeps them. */
export interface RangeTexts {
  readonly span: string
  readonly from: string
  readonly to: string
}

/** What is asked of the relay. Throws BAD_ARGUMENT, naming `from` or `to`, where a moment is none, or nothing is between. */
export function rangeOf({ span, from, to }: RangeTexts, nowMs: number = Date.now()): { from: Date; to?: Date } {
  if (span === 'between') {
    const since = momentOf(from, 'from') ?? new Date(0)
    const until = momentOf(to, 'to')
    if (until !== undefined && until <= since) throw new PocketError('BAD_ARGUMENT', 'to is not later than from')
    return { from: since, ...(until === undefined ? {} : { to: until }) }
  }
  const spanMs = spansMs[span as keyof typeof spansMs]
  return { from: new Date(spanMs === undefined ? 0 : nowMs - spanMs) }
}

export interface TimeRangeProps {
  readonly values: RangeTexts
  readonly set: (changes: Partial<RangeTexts>) => void
  /** What is wrong with a moment. */
  readonly errors?: { readonly from?: string | undefined; readonly to?: string | undefined }
}

export function TimeRange({ values, set, errors = {} }: TimeRangeProps): JSX.Element {
  const t = texts().range
  return (
    <>
      <Choice
        label={t.label} value={values.span} testId="field-span" onChange={(span) => set({ span })}
        options={spans.map((span) => ({ value: span as string, text: t.spans[span] }))}
      />
      {values.span === 'between' && (
        <>
          <Field
            label={t.from} type="datetime-local" value={values.from} error={errors.from} testId="field-from"
            onInput={(from) => set({ from })}
          />
          <Field
            label={t.to} type="datetime-local" value={values.to} error={errors.to} testId="field-to" onInput={(to) => set({ to })}
          />
        </>
      )}
    </>
  )
}

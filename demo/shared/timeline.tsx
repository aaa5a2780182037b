// The trace of a message as it is seen: one line per event, and how far each is from the first.

import './timeline.css'
import type { ComponentChildren, JSX } from 'preact'
import type { Timeline } from '../../web-client/index.ts'
import { Badge, Panel } from './controls.tsx'
import { formatCount, formatMoment, formatSpan, textsOf } from './language.ts'

export type EventKind = Timeline['events'][number]['kind']

const en = {
  untraced: 'This message was not traced.', queue: 'queue', offset: 'offset',
  kind: {
    born: 'made', sent: 'sent', stored: 'stored on disk', delivered: 'delivered', acked: 'acknowledged', retried: 'to be retried',
    expired: 'lease ended', held: 'held', dead: 'dead letter',
  },
  group: 'group', by: 'by', attempt: (attempt: number) => `attempt ${attempt}`, took: (span: string) => `took ${span}`,
}
const zh: typeof en = {
  untraced: '这条消息没有被跟踪。', queue: '队列', offset: '位点',
  kind: {
    born: '产生', sent: '发送', stored: '已落盘', delivered: '已投递', acked: '已确认', retried: '等待重试', expired: '租约到期',
    held: '被保留', dead: '死信',
  },
  group: '消费组', by: '由', attempt: (attempt) => `第 ${attempt} 次`, took: (span) => `用时 ${span}`,
}

const tones = {
  born: 'plain', sent: 'plain', stored: 'accent', delivered: 'accent', acked: 'good', retried: 'warn', expired: 'warn',
  held: 'warn', dead: 'bad',
} as const

export interface TimelineViewProps {
  readonly timeline: Timeline
  /** Where such an event happens, in a word. */
  readonly placeOf?: (kind: EventKind) => string
  /** Below the events. */
  readonly footer?: ComponentChildren
}

export function TimelineView({ timeline, placeOf, footer }: TimelineViewProps): JSX.Element {
  const t = textsOf(en, zh)
  const { topic, queueId, offset, events, isTraced } = timeline
  const firstMs = events[0]?.atMs ?? 0
  const spanMs = Math.max(1, (events.at(-1)?.atMs ?? 0) - firstMs)
  return (
    <Panel
      title={topic} actions={<span class="soft">{t.queue} {queueId} · {t.offset} {formatCount(offset)}</span>}
    >
      {!isTraced && <p class="hint">{t.untraced}</p>}
      <ol class="timeline" data-testid="timeline">
        {events.map(({ kind, atMs, costMs, group, clientId, attempt }, index) => (
          <li key={index} class={`event tone-${tones[kind]}`} data-kind={kind}>
            <span class="event-at">
              <time dateTime={new Date(atMs).toISOString()} title={new Date(atMs).toISOString()}>
                {index === 0 ? formatMoment(atMs) : `+${formatSpan(atMs - firstMs)}`}
              </time>
            </span>
            <span class="event-what">
              <b>{t.kind[kind]}</b>
              {placeOf !== undefined && <Badge tone={tones[kind]}>{placeOf(kind)}</Badge>}
              {attempt > 1 && <Badge tone="warn">{t.attempt(attempt)}</Badge>}
              {costMs > 0 && <span class="soft">{t.took(formatSpan(costMs))}</span>}
              <progress class="event-far" max={spanMs} value={atMs - firstMs} aria-hidden="true" />
              <span class="event-who">
                {clientId !== '' && <span>{t.by} <code>{clientId}</code></span>}
                {group !== '' && <span>{t.group} <code>{group}</code></span>}
              </span>
            </span>
          </li>
        ))}
      </ol>
      {footer !== undefined && <p class="event-who">{footer}</p>}
    </Panel>
  )
}

// The trace of a message as it is seen: one line per event, and how far each is from the first.

import '../../shared/timeline.css'
import type { JSX } from 'preact'
import type { Home, Timeline } from '../../../web-client/index.ts'
import { Badge, Button, Field, Panel } from '../../shared/controls.tsx'
import { formatCount, formatSpan, formatTime } from '../../shared/language.ts'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import source from './trace.ts?raw'
import { createTraceModel } from './trace-model.ts'

export function TraceScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('trace', createTraceModel)
  const t = texts().trace
  const timelines = model.timelines.value
  return (
    <Scene name="trace" source={source}>
      <form
        class="row" onSubmit={(event) => {
          event.preventDefault()
          void model.ask()
        }}
      >
        <Field
          label={t.id} value={model.messageId.value} error={model.failure.text.value} testId="message-id"
          onInput={(value) => (model.messageId.value = value)}
        />
        <Button type="submit" kind="primary" disabled={model.messageId.value.trim() === ''} testId="ask">{t.ask}</Button>
      </form>
      {timelines?.length === 0 && <p class="hint" role="status">{t.none}</p>}
      {timelines?.map((timeline) => (
        <TimelineView key={`${timeline.queueId}@${timeline.offset}`} timeline={timeline} home={model.home.value} />
      ))}
      <Panel title={t.seen}>
        {sale.seen.value.length === 0 ? <p class="hint">{t.noSeen}</p> : (
          <div class="belt" data-testid="seen">
            {sale.seen.value.map((message) => (
              <button
                key={message.messageId} type="button" class="chip" aria-pressed={message.messageId === model.messageId.value}
                onClick={() => sale.openTrace(message)}
              >
                <b>{message.label}</b>
              </button>
            ))}
          </div>
        )}
      </Panel>
    </Scene>
  )
}

const tones = {
  born: 'plain', sent: 'plain', stored: 'accent', delivered: 'accent', acked: 'good', retried: 'warn', expired: 'warn',
  held: 'warn', dead: 'bad',
} as const

type EventKind = Timeline['events'][number]['kind']

/** Where it happened. */
function placeOf(kind: EventKind, home: Home): string {
  const { place } = texts().trace
  if (kind === 'born' || kind === 'acked') return place[kind]
  if (home === 'device') return place.device
  return kind === 'sent' || kind === 'delivered' ? place[kind] : place.other
}

function TimelineView({ timeline, home }: { timeline: Timeline; home: Home }): JSX.Element {
  const t = texts().trace
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
              {index === 0 ? formatTime(atMs) : `+${formatSpan(atMs - firstMs)}`}
            </span>
            <span class="event-what">
              <b>{t.kind[kind]}</b>
              <Badge tone={tones[kind]}>{placeOf(kind, home)}</Badge>
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
    </Panel>
  )
}

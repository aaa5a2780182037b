// The trace scene as it is seen: a message to ask for, and its timeline.

import type { JSX } from 'preact'
import type { Home } from '../../../web-client/index.ts'
import { Button, Field, Panel } from '../../shared/controls.tsx'
import { type EventKind, TimelineView } from '../../shared/timeline.tsx'
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
        <TimelineView
          key={`${timeline.queueId}@${timeline.offset}`} timeline={timeline} placeOf={(kind) => placeOf(kind, model.home.value)}
        />
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

/** Where it happened. */
function placeOf(kind: EventKind, home: Home): string {
  const { place } = texts().trace
  if (kind === 'born' || kind === 'acked') return place[kind]
  if (home === 'device') return place.device
  return kind === 'sent' || kind === 'delivered' ? place[kind] : place.other
}

// The offline scene as it is seen: the switch, the order book, and the notes between tabs.

import { useSignal, useSignalEffect } from '@preact/signals'
import type { JSX } from 'preact'
import { Badge, Button, Field, Figure, Figures, Notice, Panel } from '../../shared/controls.tsx'
import { formatCount, formatTime } from '../../shared/language.ts'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import { useStatus } from '../status-view.tsx'
import { createOfflineModel, type OfflineModel } from './offline-model.ts'
import source from './offline.ts?raw'

export function OfflineScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('offline', createOfflineModel)
  const t = texts().offline
  const hasRelay = sale.room.relay !== undefined
  return (
    <Scene name="offline" source={source}>
      <div class="row">
        <Button
          kind={model.isOffline.value ? 'primary' : 'plain'} pressed={model.isOffline.value} disabled={!hasRelay} testId="switch"
          onClick={() => void model.switchLink()}
        >
          {model.isOffline.value ? t.join : t.cut}
        </Button>
        <Button onClick={() => void model.sellOne()} testId="sell">{t.sell}</Button>
        <Button pressed={model.isSelling.value} onClick={() => void model.sellOn()} testId="sell-on">
          {model.isSelling.value ? t.stop : t.sellOn}
        </Button>
      </div>
      <Notice>{model.failure.text.value}</Notice>
      {!hasRelay && <Notice tone="plain">{t.noRelay}</Notice>}
      <OfflineFigures model={model} sale={sale} />
      <div class="columns">
        <Book model={model} sale={sale} />
        <Notes model={model} sale={sale} />
      </div>
    </Scene>
  )
}

function OfflineFigures({ model, sale }: { model: OfflineModel; sale: Sale }): JSX.Element {
  const t = texts().offline
  const { outboxCount } = useStatus(sale.room.mq)
  const { count, twiceCount, disorderCount } = model.arrivals.value
  return (
    <Figures>
      <Figure label={t.outbox} value={formatCount(outboxCount)} tone={outboxCount > 0 ? 'warn' : 'good'} testId="outbox-count" />
      <Figure label={t.arrived} value={formatCount(count)} testId="arrived" />
      <Figure label={t.twice} value={formatCount(twiceCount)} tone={twiceCount > 0 ? 'bad' : 'good'} testId="twice" />
      <Figure label={t.disorder} value={formatCount(disorderCount)} tone={disorderCount > 0 ? 'bad' : 'good'} testId="disorder" />
    </Figures>
  )
}

function Book({ model, sale }: { model: OfflineModel; sale: Sale }): JSX.Element {
  const t = texts().offline
  const { outboxCount } = useStatus(sale.room.mq)
  const rows = [...model.rows.value].reverse()
  return (
    <Panel title={t.book}>
      {rows.length === 0 ? <p class="hint">{outboxCount > 0 ? t.waiting(outboxCount) : t.empty}</p> : (
        <ul class="list book" data-testid="book">
          {rows.map(({ seller, number, isPending, messageId }) => (
            <li key={`${seller} ${number}`} data-pending={isPending}>
              <span class="grow">
                <b>#{number}</b> <span class="soft">{seller}{seller === model.seller ? ` · ${t.you}` : ''}</span>
              </span>
              {isPending ? <Badge tone="warn">{t.pending}</Badge> : (
                <button
                  type="button" class="link" aria-label={`${t.stored}: #${number}`}
                  onClick={() => sale.openTrace({ messageId, home: sale.room.home, label: `${seller} #${number}` })}
                >
                  <Badge tone="good">{t.stored}</Badge>
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function Notes({ model, sale }: { model: OfflineModel; sale: Sale }): JSX.Element {
  const t = texts().offline
  const isEmpty = useSignal(true)
  useSignalEffect(() => {
    isEmpty.value = model.draft.value.trim() === ''
  })
  return (
    <Panel title={t.notes}>
      <form
        class="row" onSubmit={(event) => {
          event.preventDefault()
          void model.say()
        }}
      >
        <Field
          label={t.note} hint={t.notesHint} value={model.draft.value} error={model.noteFailure.text.value} testId="note"
          onInput={(value) => (model.draft.value = value)}
        />
        <Button type="submit" disabled={isEmpty.value} testId="say">{t.say}</Button>
      </form>
      <ul class="list" data-testid="notes">
        {model.notes.value.map(({ messageId, tab, text, storedMs }) => (
          <li key={messageId}>
            <span class="grow">{text}</span>
            <span class="soft">{tab === sale.room.tabName ? t.you : tab} · {formatTime(storedMs)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  )
}

// The price board as it is seen.

import type { JSX } from 'preact'
import { Badge, Button, Choice, Field, Notice, Panel } from '../../shared/controls.tsx'
import { formatCount, formatTime } from '../../shared/language.ts'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import { createPricesModel, type PricesModel } from './prices-model.ts'
import source from './prices.ts?raw'

export function PricesScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('prices', createPricesModel)
  const t = texts().prices
  const error = model.failure.text.value
  return (
    <Scene name="prices" source={source}>
      <form
        class="row" onSubmit={(event) => {
          event.preventDefault()
          void model.apply()
        }}
      >
        <Choice
          label={t.filter} value={model.filterKind.value} testId="filter-kind"
          onChange={(value) => {
            model.filterKind.value = value
            model.failure.clear()
          }}
          options={[{ value: 'all', text: t.all }, { value: 'tags', text: t.byTags }, { value: 'sql', text: t.bySql }]}
        />
        {model.filterKind.value === 'tags' && (
          <Field label={t.tags} hint={t.tagsHint} error={error} value={model.tags.value} testId="tags"
            onInput={(value) => (model.tags.value = value)} />
        )}
        {model.filterKind.value === 'sql' && (
          <Field label={t.sql} hint={t.sqlHint} error={error} value={model.sql.value} testId="sql"
            onInput={(value) => (model.sql.value = value)} />
        )}
        <Choice
          label={t.start} value={model.start.value} testId="start" onChange={(value) => (model.start.value = value)}
          options={[
            { value: 'latest', text: t.latest }, { value: 'minute', text: t.minute }, { value: 'earliest', text: t.earliest },
            { value: 'time', text: t.time },
          ]}
        />
        {model.start.value === 'time' && (
          <Field label={t.since} type="datetime-local" value={model.time.value} testId="time"
            onInput={(value) => (model.time.value = value)} />
        )}
        <Button type="submit" kind="primary" testId="open-board">{t.apply}</Button>
      </form>
      {model.filterKind.value === 'all' && <Notice>{error}</Notice>}
      <div class="row">
        <Choice
          label={t.rate} value={model.perSecond.value} testId="rate" onChange={(value) => (model.perSecond.value = value)}
          options={(['5', '50', '500'] as const).map((value) => ({ value, text: value }))}
        />
        <Button pressed={model.isRunning.value} onClick={() => void model.runMarket()} testId="market">
          {model.isRunning.value ? t.stop : t.run}
        </Button>
      </div>
      <Notice>{model.market.text.value}</Notice>
      <Board model={model} sale={sale} />
    </Scene>
  )
}

const signs = { up: '▲', down: '▼', same: '–' } as const

function Board({ model, sale }: { model: PricesModel; sale: Sale }): JSX.Element {
  const t = texts().prices
  const rows = model.rows.value
  return (
    <Panel
      title={texts().scenes.prices.name} actions={(
        <span class="actions">
          <Badge><span data-testid="read">{formatCount(model.readCount.value)}</span> {t.read}</Badge>
          {model.isOpen.value && <Badge tone="good">{t.open}</Badge>}
        </span>
      )}
    >
      {rows.length === 0 ? <p class="hint">{model.isOpen.value ? t.empty : t.notOpen}</p> : (
        <div class="board" data-testid="board">
          {rows.map(({ item, price, was, direction, messageId, storedMs }) => (
            <button
              key={item} type="button" class={`price price-${direction}`} data-item={item}
              onClick={() => sale.openTrace({ messageId, home: sale.room.home, label: item })}
            >
              <span class="price-item">{item}</span>
              <span class="price-now">
                <i aria-hidden="true">{signs[direction]}</i>
                <span class="visually-hidden">{t[direction]}</span>
                {price}
              </span>
              <span class="price-off">−{Math.round((1 - price / was) * 100)} %</span>
              <span class="price-at">{formatTime(storedMs)}</span>
            </button>
          ))}
        </div>
      )}
      <p class="hint">{t.hint}</p>
    </Panel>
  )
}

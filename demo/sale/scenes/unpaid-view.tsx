// The unpaid orders as they are seen: each with the time it has left.

import type { JSX } from 'preact'
import { Badge, Button, Choice, Notice, Panel } from '../../shared/controls.tsx'
import { formatSpan } from '../../shared/language.ts'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import { createUnpaidModel, delays, type UnpaidModel, type UnpaidOrder } from './unpaid-model.ts'
import source from './unpaid.ts?raw'

export function UnpaidScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('unpaid', createUnpaidModel)
  const t = texts().unpaid
  return (
    <Scene name="unpaid" source={source}>
      <div class="row">
        <Choice
          label={t.delay} value={model.delay.value} testId="delay" onChange={(value) => (model.delay.value = value)}
          options={delays.map((value) => ({ value, text: t.seconds(value) }))}
        />
        <Button kind="primary" onClick={() => void model.place()} testId="place">{t.place}</Button>
      </div>
      <Notice>{model.failure.text.value}</Notice>
      <Panel title={texts().scenes.unpaid.name}>
        {model.orders.value.length === 0 ? <p class="hint">{t.empty}</p> : (
          <ul class="list" data-testid="orders">
            {model.orders.value.map((order) => <Order key={order.id} order={order} model={model} sale={sale} />)}
          </ul>
        )}
      </Panel>
    </Scene>
  )
}

const tones = { waiting: 'warn', paid: 'good', cancelled: 'bad' } as const

function Order({ order, model, sale }: { order: UnpaidOrder; model: UnpaidModel; sale: Sale }): JSX.Element {
  const t = texts().unpaid
  const { id, state, madeMs, dueMs, recallHandle, messageId, error } = order
  const leftMs = Math.max(0, dueMs - model.nowMs.value)
  return (
    <li class="deadline" data-testid="unpaid-order" data-state={state}>
      <b class="grow">{id}</b>
      <Badge tone={tones[state]}>{t[state]}</Badge>
      {state === 'waiting' && (
        <>
          <progress max={dueMs - madeMs} value={leftMs} aria-label={t.left(formatSpan(leftMs))} />
          <span class="number">{leftMs > 0 ? t.left(`${Math.ceil(leftMs / 1000)} s`) : t.due}</span>
          <Button label={`${t.pay} ${id}`} disabled={recallHandle === undefined} onClick={() => void model.pay(order)}>
            {t.pay}
          </Button>
        </>
      )}
      {state === 'cancelled' && messageId !== undefined && (
        <Button kind="quiet" onClick={() => sale.openTrace({ messageId, home: sale.room.home, label: id })}>
          {texts().scenes.trace.name}<span class="visually-hidden"> {id}</span>
        </Button>
      )}
      {error !== undefined && <p class="field-error" role="alert">{error}</p>}
    </li>
  )
}

// The ordered life scene as it is seen: a lane per queue, an order's three steps on it, and the dead letters.

import type { JSX } from 'preact'
import { Button, Notice, Panel } from '../../shared/controls.tsx'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import { createLifeModel, type LifeModel, type LifeOrder, queueCount } from './life-model.ts'
import { steps } from './life.ts'
import source from './life.ts?raw'

export function LifeScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('life', createLifeModel)
  const t = texts().life
  return (
    <Scene name="life" source={source}>
      <div class="row">
        <Button kind="primary" onClick={() => void model.place(false)} testId="place">{t.place}</Button>
        <Button onClick={() => void model.place(false, 10)} testId="place-ten">{t.many}</Button>
        <Button onClick={() => void model.place(true)} testId="place-broken">{t.broken}</Button>
      </div>
      <Notice>{model.failure.text.value}</Notice>
      <Lanes model={model} sale={sale} />
      <DeadLetters model={model} />
    </Scene>
  )
}

function Lanes({ model, sale }: { model: LifeModel; sale: Sale }): JSX.Element {
  const t = texts().life
  const orders = model.orders.value
  return (
    <div class="lanes">
      {Array.from({ length: queueCount }, (_, queueId) => (
        <section key={queueId} class={`lane lane-${queueId + 1}`} aria-label={t.queue(queueId)}>
          <h3>{t.queue(queueId)}</h3>
          <ul>
            {orders.filter((order) => order.queueId === queueId).slice(-8).reverse().map((order) => (
              <Order key={order.id} order={order} sale={sale} />
            ))}
          </ul>
        </section>
      ))}
      {orders.length === 0 && <p class="hint">{t.empty}</p>}
    </div>
  )
}

const signs = { working: '…', done: '✓', retrying: '↻', dead: '✕', waiting: '·' } as const

function Order({ order, sale }: { order: LifeOrder; sale: Sale }): JSX.Element {
  const t = texts().life
  return (
    <li class="order" data-testid={order.isBroken ? 'broken-order' : 'order'}>
      <b>{order.id}</b>
      <span class="order-steps">
        {steps.map((step) => {
          const known = order.steps[step]
          const state = known?.state ?? 'waiting'
          const again = known !== undefined && known.attempt > 1 ? ` ${known.attempt}×` : ''
          const text = `${t.step[step]}${again}`
          const sign = <i aria-hidden="true">{signs[state]}</i>
          if (known === undefined) return <span key={step} class="step step-waiting">{sign}{text}</span>
          return (
            <button
              key={step} type="button" class={`step step-${state}`} title={t.state[state]} data-state={state} data-step={step}
              onClick={() => sale.openTrace({ messageId: known.messageId, home: sale.room.home, label: `${order.id} ${step}` })}
            >
              {sign}{text}<span class="visually-hidden"> ({t.state[state]})</span>
            </button>
          )
        })}
      </span>
    </li>
  )
}

function DeadLetters({ model }: { model: LifeModel }): JSX.Element {
  const t = texts().life
  const dead = model.dead.value
  return (
    <Panel
      title={t.dead} actions={(
        <span class="actions">
          <Button pressed={model.isMended.value} onClick={() => void model.mend()} testId="mended">
            {t.mended}
          </Button>
          <Button
            disabled={dead.length === 0} testId="send-back"
            onClick={() => void model.sendBack(dead.map(({ messageId }) => messageId))}
          >
            {t.sendBackAll}
          </Button>
        </span>
      )}
    >
      {dead.length === 0 ? <p class="hint">{t.noDead}</p> : (
        <ul class="list" data-testid="dead-letters">
          {dead.map(({ messageId, order, step }) => (
            <li key={messageId}>
              <span class="grow">{t.of(t.step[step], order)}</span>
              <Button label={`${t.sendBack}: ${t.of(t.step[step], order)}`} onClick={() => void model.sendBack([messageId])}>
                {t.sendBack}
              </Button>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

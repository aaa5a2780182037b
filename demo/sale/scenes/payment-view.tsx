// The payment scene as it is seen: what is under way, what was asked, and what everybody sees.

import type { JSX } from 'preact'
import { useEffect } from 'preact/hooks'
import { Badge, Button, Notice, Panel } from '../../shared/controls.tsx'
import { formatSpan, formatTime } from '../../shared/language.ts'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import type { Death } from './payment.ts'
import source from './payment.ts?raw'
import { createPaymentModel, type PaymentModel } from './payment-model.ts'

export function PaymentScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('payment', createPaymentModel)
  const t = texts().payment
  const busy = model.isBusy.value
  return (
    <Scene name="payment" source={source}>
      <div class="row">
        <Button kind="primary" disabled={busy} onClick={() => void model.pay()} testId="pay">{t.pay}</Button>
        <Button disabled={busy} onClick={() => void model.refuse()} testId="refuse">{t.refuse}</Button>
      </div>
      <fieldset class="row">
        <legend>{t.die}</legend>
        <Button onClick={() => model.payInDyingTab('before-ledger')} testId="die-before">{t.before}</Button>
        <Button onClick={() => model.payInDyingTab('after-ledger')} testId="die-after">{t.after}</Button>
      </fieldset>
      <Notice>{model.failure.text.value}</Notice>
      {model.refusedCount.value > 0 && <Notice tone="plain">{t.refused(model.refusedCount.value)}</Notice>}
      <div class="columns">
        <UnderWay model={model} />
        <Visible model={model} sale={sale} />
      </div>
    </Scene>
  )
}

function UnderWay({ model }: { model: PaymentModel }): JSX.Element {
  const t = texts().payment
  return (
    <div class="stack">
      <Panel title={t.halves}>
        {model.halves.value.length === 0 ? <p class="hint">{t.noHalves}</p> : (
          <ul class="list" data-testid="halves">
            {model.halves.value.map(({ transactionId, preparedMs, checkCount }) => (
              <li key={transactionId}>
                <code class="grow">{transactionId}</code>
                <Badge tone="warn">{t.half(formatSpan(Math.max(0, Date.now() - preparedMs)), checkCount)}</Badge>
              </li>
            ))}
          </ul>
        )}
      </Panel>
      <Panel title={t.checks}>
        {model.checks.value.length === 0 ? <p class="hint">{t.noChecks}</p> : (
          <ul class="list" data-testid="checks">
            {model.checks.value.map(({ transactionId, verdict, atMs }) => (
              <li key={`${transactionId}${atMs}`} data-verdict={verdict}>
                <code class="grow">{transactionId}</code>
                <Badge tone={verdict === 'commit' ? 'good' : 'bad'}>{t.verdict[verdict]}</Badge>
              </li>
            ))}
          </ul>
        )}
      </Panel>
    </div>
  )
}

function Visible({ model, sale }: { model: PaymentModel; sale: Sale }): JSX.Element {
  const t = texts().payment
  return (
    <Panel title={t.visible}>
      {model.payments.value.length === 0 ? <p class="hint">{t.noVisible}</p> : (
        <ul class="list" data-testid="payments">
          {model.payments.value.map(({ messageId, order, amount, storedMs }) => (
            <li key={messageId}>
              <button
                type="button" class="link grow"
                onClick={() => sale.openTrace({ messageId, home: sale.room.home, label: order })}
              >
                {order}
              </button>
              <span class="number">{amount} €</span>
              <span class="soft">{formatTime(storedMs)}</span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

/** All that a tab shows which was opened to die in the middle of a payment. */
export function DyingPayment({ sale, death }: { sale: Sale; death: Death }): JSX.Element {
  const model = sale.modelOf('payment', createPaymentModel)
  useEffect(() => void model.failure.during(() => model.payAndMaybeDie(death)), [model, death])
  return <main id="main" class="alone"><p>{texts().payment.dying}</p><Notice>{model.failure.text.value}</Notice></main>
}

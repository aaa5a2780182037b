// The peak shaving scene as it is seen.

import type { JSX } from 'preact'
import { Badge, Button, Choice, Field, Figure, Figures, Panel } from '../../shared/controls.tsx'
import { formatCount } from '../../shared/language.ts'
import { LiveChart } from '../../shared/live-chart.tsx'
import type { Sale } from '../sale.ts'
import { Scene, texts } from '../scene.tsx'
import source from './peak.ts?raw'
import { chartSpanMs, createPeakModel, paces, type PeakModel } from './peak-model.ts'

export function PeakScene({ sale }: { sale: Sale }): JSX.Element {
  const model = sale.modelOf('peak', createPeakModel)
  const t = texts().peak
  return (
    <Scene name="peak" source={source}>
      <form
        class="row" onSubmit={(event) => {
          event.preventDefault()
          void model.burst()
        }}
      >
        <Field
          label={t.size} type="number" value={model.burstSize.value} error={model.failure.text.value} testId="burst-size"
          onInput={(value) => (model.burstSize.value = value)}
        />
        <Choice
          label={t.pace} value={model.pace.value} testId="pace" onChange={(value) => (model.pace.value = value)}
          options={paces.map((value) => ({ value, text: t.perSecond(formatCount(Number(value))) }))}
        />
        <Button type="submit" kind="primary" disabled={model.isSending.value} testId="burst">
          {model.isSending.value ? t.sending : t.burst}
        </Button>
      </form>
      <PeakFigures model={model} />
      <Panel title={t.minute}>
        <LiveChart
          data={model.chart} spanMs={chartSpanMs} label={t.chart} format={formatCount}
          series={[{ label: t.backlog, colour: '--lane-3' }, { label: t.rate, colour: '--lane-2' }]}
        />
      </Panel>
      <div class="columns">
        <Workers model={model} />
        <Crews model={model} deviceName={sale.room.deviceName} />
      </div>
      <Belt model={model} sale={sale} />
    </Scene>
  )
}

/** Apart from the rest of the scene: it changes with every frame. */
function PeakFigures({ model }: { model: PeakModel }): JSX.Element {
  const t = texts().peak
  const backlog = model.backlog.value
  return (
    <Figures>
      <Figure label={t.sent} value={formatCount(model.storedCount.value)} testId="stored" />
      <Figure label={t.backlog} value={formatCount(backlog)} tone={backlog > 0 ? 'warn' : 'good'} testId="backlog" />
      <Figure label={t.inFlight} value={formatCount(model.inFlight.value)} testId="in-flight" />
      <Figure label={t.packed} value={formatCount(model.packedCount.value)} testId="packed" />
      <Figure label={t.rate} value={formatCount(model.perSecond.value)} testId="per-second" />
    </Figures>
  )
}

function Workers({ model }: { model: PeakModel }): JSX.Element {
  const t = texts().peak
  const most = Math.max(1, ...model.workers.value.map(({ packedCount }) => packedCount))
  return (
    <Panel
      title={t.workers} actions={(
        <span class="actions">
          <Button onClick={() => void model.dismiss()} disabled={model.workers.value.length === 0} testId="dismiss">
            {t.dismiss}
          </Button>
          <Button onClick={() => void model.hire()} disabled={model.workers.value.length >= 8} testId="hire">{t.hire}</Button>
        </span>
      )}
    >
      <ul class="bars" data-testid="workers">
        {model.workers.value.map(({ number, packedCount }) => (
          <li key={number}>
            <span>{t.worker(number)}</span>
            <progress max={most} value={packedCount} aria-label={t.worker(number)} />
            <span class="number">{formatCount(packedCount)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  )
}

function Crews({ model, deviceName }: { model: PeakModel; deviceName: string }): JSX.Element {
  const t = texts().peak
  return (
    <Panel title={t.crews}>
      <ul class="list" data-testid="crews">
        {model.crews.value.map(({ client, workerCount, inFlight }, index) => (
          <li key={index}>
            <span class="grow">{client}{client === deviceName ? ` · ${t.here}` : ''}</span>
            <Badge>{t.crew(workerCount)}</Badge>
            <Badge tone={inFlight > 0 ? 'accent' : 'plain'}>{t.holds(formatCount(inFlight))}</Badge>
          </li>
        ))}
      </ul>
      <p class="hint">{t.crewHint}</p>
    </Panel>
  )
}

function Belt({ model, sale }: { model: PeakModel; sale: Sale }): JSX.Element {
  const t = texts().peak
  return (
    <Panel title={t.belt}>
      <p class="hint">{model.belt.value.length === 0 ? t.empty : t.beltHint}</p>
      <div class="belt" data-testid="belt">
        {model.belt.value.map(({ id, item, messageId, worker, attempt }, index) => (
          // Keyed by place: a new order changes a chip's text and makes no new chip.
          <button
            key={index} type="button" class={`chip lane-${(worker - 1) % 4 + 1}`}
            onClick={() => sale.openTrace({ messageId, home: sale.room.home, label: id })}
          >
            <b>{id}</b> {item}{attempt > 1 ? ` · ${t.again(attempt)}` : ''}
          </button>
        ))}
      </div>
    </Panel>
  )
}

// The demo's page: the bar on top, the ways to the scenes, and the scene that is shown.

import './sale.css'
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { TopBar } from '../shared/controls.tsx'
import { Invite } from './invite.tsx'
import { type Sale, type SceneName, sceneNames } from './sale.ts'
import { texts } from './scene.tsx'
import { LifeScene } from './scenes/life-view.tsx'
import { OfflineScene } from './scenes/offline-view.tsx'
import { PaymentScene } from './scenes/payment-view.tsx'
import { PeakScene } from './scenes/peak-view.tsx'
import { PricesScene } from './scenes/prices-view.tsx'
import { TraceScene } from './scenes/trace-view.tsx'
import { UnpaidScene } from './scenes/unpaid-view.tsx'
import { Away, StatusView } from './status-view.tsx'

const scenes: Readonly<Record<SceneName, (props: { sale: Sale }) => JSX.Element>> = {
  peak: PeakScene, life: LifeScene, prices: PricesScene, unpaid: UnpaidScene, payment: PaymentScene, offline: OfflineScene,
  trace: TraceScene,
}

export function App({ sale }: { sale: Sale }): JSX.Element {
  const t = texts()
  const shown = sale.scene.value
  const Shown = scenes[shown]
  const nav = useRef<HTMLElement>(null)
  useEffect(() => {
    // On a phone the list of scenes is wider than the screen.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' })
  }, [shown])
  useEffect(() => {
    document.title = `${t.scenes[shown].name} – ${t.title}`
  })
  return (
    <>
      <TopBar title={t.title}>
        <StatusView mq={sale.room.mq} />
        <Invite room={sale.room} />
      </TopBar>
      <nav ref={nav} class="scenes" aria-label={t.nav}>
        <ol>
          {sceneNames.map((name) => (
            <li key={name}>
              <a href={`#${name}`} aria-current={name === shown ? 'page' : undefined}>{t.scenes[name].name}</a>
            </li>
          ))}
        </ol>
      </nav>
      <main id="main" tabIndex={-1}>
        <Away mq={sale.room.mq} />
        <Shown key={shown} sale={sale} />
      </main>
    </>
  )
}

/** Before there is a room. */
export function Waiting({ error }: { error?: string }): JSX.Element {
  const t = texts()
  return (
    <>
      <TopBar title={t.title} />
      <main id="main" class="alone">
        <p role={error === undefined ? 'status' : 'alert'}>{error === undefined ? t.starting : t.failed(error)}</p>
      </main>
    </>
  )
}

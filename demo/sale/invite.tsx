// The way into the room for a second device: a link and its QR code.

import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useRef } from 'preact/hooks'
import { encode } from 'uqr'
import { Button } from '../shared/controls.tsx'
import type { Room } from './room.ts'
import { texts } from './scene.tsx'

export function Invite({ room }: { room: Room }): JSX.Element {
  const t = texts().invite
  const dialog = useRef<HTMLDialogElement>(null)
  const isCopied = useSignal(false)
  const url = linkOf(room)
  const isLocal = /^(localhost|127\.|\[::1\])/.test(location.hostname)
  return (
    <>
      <Button kind="primary" onClick={() => dialog.current?.showModal()} testId="invite">{t.open}</Button>
      <dialog ref={dialog} class="invite" aria-labelledby="invite-title">
        <h2 id="invite-title">{t.title}</h2>
        <p>{t.lead}</p>
        <QrCode text={url} label={t.qr} />
        <a href={url} data-testid="invite-link">{url}</a>
        {room.relay === undefined ? <p class="hint">{t.noRelay}</p> : isLocal && <p class="hint">{t.local}</p>}
        <div class="row">
          <Button
            onClick={() => void navigator.clipboard.writeText(url).then(() => {
              isCopied.value = true
            }, () => {})}
          >
            {isCopied.value ? t.copied : t.copy}
          </Button>
          <Button onClick={() => void window.open(url, '_blank', 'noopener')} testId="new-tab">{t.newTab}</Button>
          <Button kind="primary" onClick={() => dialog.current?.close()}>{t.close}</Button>
        </div>
      </dialog>
    </>
  )
}

/** The page's own address, with the room in it, and the scene. */
function linkOf({ name }: Room): string {
  const url = new URL(location.href)
  url.searchParams.set('room', name)
  url.searchParams.delete('pay')
  return url.href
}

function QrCode({ text, label }: { text: string; label: string }): JSX.Element {
  const { data, size } = encode(text, { border: 2 })
  const path = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : []))).join('')
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  )
}

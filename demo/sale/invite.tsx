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
  // The scene that is shown is part of it.
  const url = useSignal(linkOf(room))
  const field = useRef<HTMLAnchorElement>(null)
  const relayHost = room.relay === undefined ? '' : new URL(room.relay, location.href).hostname
  const isLocal = [location.hostname, relayHost].some((host) => /^(localhost$|127\.|\[::1\])/.test(host))

  function open(): void {
    url.value = linkOf(room)
    isCopied.value = false
    dialog.current?.showModal()
  }

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(url.value)
      isCopied.value = true
    } catch {
      // Pages without TLS have no clipboard: it is selected, to be copied by hand.
      if (field.current !== null) getSelection()?.selectAllChildren(field.current)
    }
  }

  return (
    <>
      <Button kind="primary" onClick={open} testId="invite">{t.open}</Button>
      <dialog ref={dialog} class="invite" aria-labelledby="invite-title">
        <h2 id="invite-title">{t.title}</h2>
        <p>{t.lead}</p>
        <QrCode text={url.value} label={t.qr} />
        <a ref={field} href={url.value} data-testid="invite-link">{url}</a>
        {room.relay === undefined ? <p class="hint">{t.noRelay}</p> : isLocal && <p class="hint">{t.local}</p>}
        <div class="row">
          <Button onClick={() => void copy()} testId="copy">
            {isCopied.value ? t.copied : t.copy}
          </Button>
          <Button onClick={() => void window.open(url.value, '_blank', 'noopener')} testId="new-tab">{t.newTab}</Button>
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

// The state of things on top of the page: engine, link, outbox, lag, tabs; a token where the relay asks for one.

import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { WebClient, WebStatus } from '../../web-client/index.ts'
import { Badge, Button, Field, Notice, type Tone } from '../shared/controls.tsx'
import { formatCount } from '../shared/language.ts'
import { texts } from './scene.tsx'
import { readToken, writeToken } from './token.ts'

/** The client's snapshot; whoever uses it is drawn anew when it changes. */
export function useStatus(mq: WebClient): WebStatus {
  const [status, setStatus] = useState(() => mq.getSnapshot())
  useEffect(() => {
    setStatus(mq.getSnapshot())
    return mq.subscribe(() => setStatus(mq.getSnapshot()))
  }, [mq])
  return status
}

const linkTones: Readonly<Record<WebStatus['link'], Tone>> = {
  none: 'plain', connecting: 'warn', connected: 'good', waiting: 'warn', closed: 'bad',
}
const linkSigns: Readonly<Record<WebStatus['link'], string>> = {
  none: '○', connecting: '◔', connected: '●', waiting: '◌', closed: '✕',
}

export function StatusView({ mq }: { mq: WebClient }): JSX.Element {
  const t = texts().state
  const { host, link, linkError, outboxCount, lag, tabCount, storage, engine, engineError } = useStatus(mq)
  // From the refusal until there is a connection: each try in between clears the error, and must not take what is being typed.
  const refusal = useRef<string>()
  if (linkError?.code === 'UNAUTHENTICATED') refusal.current = linkError.message
  else if (link === 'connected') refusal.current = undefined
  const shownLink = refusal.current === undefined ? link : 'closed'
  return (
    <>
      <Badge><span class="visually-hidden">{t.hostLabel}:</span><span data-testid="host">{t.host[host ?? 'none']}</span></Badge>
      <Badge tone={linkTones[shownLink]}>
        <i aria-hidden="true">{linkSigns[shownLink]}</i>
        <span data-testid="link" data-link={link}>{t.link[shownLink]}</span>
      </Badge>
      {link !== 'none' && (
        <>
          <Badge tone={outboxCount > 0 ? 'warn' : 'plain'}>
            <span data-testid="outbox">{t.outbox(formatCount(outboxCount))}</span>
          </Badge>
          <Badge tone={lag > 0 ? 'warn' : 'plain'}><span data-testid="lag">{t.lag(formatCount(lag))}</span></Badge>
        </>
      )}
      <Badge><span data-testid="tabs">{t.tabs(tabCount)}</span></Badge>
      {storage === 'memory' && host !== undefined && <Badge tone="warn">{t.memory}</Badge>}
      {engineError !== undefined && <Notice tone={engine === 'ended' ? 'bad' : 'warn'}>{engineError.message}</Notice>}
      {refusal.current !== undefined && <TokenForm error={readToken() === '' ? undefined : refusal.current} />}
    </>
  )
}

/** Why no scene goes on that needs the relay, and what helps. */
export function Away({ mq }: { mq: WebClient }): JSX.Element | null {
  const t = texts().state
  const { link, linkError, isOffline } = useStatus(mq)
  // Cut on purpose, or asked for a token already.
  if ((link !== 'waiting' && link !== 'closed') || isOffline || linkError?.code === 'UNAUTHENTICATED') return null
  return (
    <div class="row away" role="status" data-testid="away">
      <Notice tone="warn">{link === 'closed' ? t.refused : t.away}{linkError && <><br />{linkError.message}</>}</Notice>
      <Button onClick={() => void mq.setOffline(false)}>{t.tryNow}</Button>
    </div>
  )
}

/** `error`: what the relay says of the one that was typed. */
function TokenForm({ error }: { error: string | undefined }): JSX.Element {
  const t = texts().state
  const token = useSignal('')
  return (
    <form
      class="row" onSubmit={(event) => {
        event.preventDefault()
        writeToken(token.value)
      }}
    >
      <Field
        label={t.token} testId="token" type="password" value={token.value} error={error}
        onInput={(value) => (token.value = value)}
      />
      <Button type="submit" testId="token-go">{t.tokenGo}</Button>
    </form>
  )
}

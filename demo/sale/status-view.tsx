// The state of things on top of the page: engine, link, outbox, lag, tabs; a token where the relay asks for one.

import { useSignal } from '@preact/signals'
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { WebClient, WebStatus } from '../../web-client/index.ts'
import { Badge, Button, Field, Notice, type Tone } from '../shared/controls.tsx'
import { formatCount } from '../shared/language.ts'
import { texts } from './scene.tsx'
import { writeToken } from './token.ts'

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
  const isTokenAsked = useRef(false)
  if (linkError?.code === 'UNAUTHENTICATED') isTokenAsked.current = true
  else if (link === 'connected') isTokenAsked.current = false
  return (
    <>
      <Badge><span class="visually-hidden">{t.hostLabel}:</span><span data-testid="host">{t.host[host ?? 'none']}</span></Badge>
      <Badge tone={linkTones[link]}>
        <i aria-hidden="true">{linkSigns[link]}</i>
        <span data-testid="link" data-link={link} title={linkError?.message}>{t.link[link]}</span>
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
      {isTokenAsked.current && <TokenForm />}
    </>
  )
}

function TokenForm(): JSX.Element {
  const t = texts().state
  const token = useSignal('')
  return (
    <form
      class="row" onSubmit={(event) => {
        event.preventDefault()
        writeToken(token.value)
      }}
    >
      <Field label={t.token} testId="token" type="password" value={token.value} onInput={(value) => (token.value = value)} />
      <Button type="submit" testId="token-go">{t.tokenGo}</Button>
    </form>
  )
}

// The console's page: the bar on top, the ways to the pages, and the page that is shown.

import './console.css'
import type { JSX } from 'preact'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { Client, LinkState } from '../../core/index.ts'
import { Badge, Button, Notice, type Tone, TopBar } from '../shared/controls.tsx'
import { ConfirmDialog } from './confirm.tsx'
import { Notes } from './notes.tsx'
import type { Operator } from './operator.ts'
import type { DetailProps, PageProps } from './page.tsx'
import { ConnectionsPage } from './pages/connections.tsx'
import { DeadLettersPage } from './pages/dead-letters.tsx'
import { DelayedPage } from './pages/delayed.tsx'
import { GroupPage } from './pages/group.tsx'
import { GroupsPage } from './pages/groups.tsx'
import { MessagesPage } from './pages/messages.tsx'
import { OverviewPage } from './pages/overview.tsx'
import { SettingsPage } from './pages/settings.tsx'
import { TopicPage } from './pages/topic.tsx'
import { TopicsPage } from './pages/topics.tsx'
import { TracePage } from './pages/trace.tsx'
import { createPulse } from './pulse.ts'
import { hrefOf, type PageName, pageNames, route } from './route.ts'
import { SignIn } from './sign-in.tsx'
import { texts } from './texts.ts'

const pages: Readonly<Record<PageName, (props: PageProps) => JSX.Element>> = {
  overview: OverviewPage, topics: TopicsPage, groups: GroupsPage, messages: MessagesPage, 'dead-letters': DeadLettersPage,
  delayed: DelayedPage, trace: TracePage, connections: ConnectionsPage, settings: SettingsPage,
}
const details: Readonly<Partial<Record<PageName, (props: DetailProps) => JSX.Element>>> = {
  topics: TopicPage, groups: GroupPage,
}

const linkTones: Readonly<Record<LinkState, Tone>> = { connecting: 'warn', connected: 'good', waiting: 'bad', closed: 'bad' }
const linkSigns: Readonly<Record<LinkState, string>> = { connecting: '◔', connected: '●', waiting: '◌', closed: '✕' }

export function App({ operator }: { operator: Operator }): JSX.Element {
  const t = texts()
  const state = operator.state.value
  useEffect(() => {
    document.title = state.kind === 'ready' ? `${route.value.name ?? t.pages[route.value.page]} – ${t.title}` : t.title
  })
  return (
    <>
      <TopBar title={t.title}>
        <Badge tone={linkTones[operator.link.value]}>
          <i aria-hidden="true">{linkSigns[operator.link.value]}</i>
          <span data-testid="link" data-link={operator.link.value}>{operator.host} {t.link[operator.link.value]}</span>
        </Badge>
        {state.kind === 'ready' && operator.hasToken && (
          <Button kind="quiet" onClick={() => operator.signOut()} testId="sign-out">{t.signIn.out}</Button>
        )}
      </TopBar>
      {state.kind === 'ready'
        ? <Pages client={state.client} isAway={operator.link.value === 'waiting'} />
        : <SignIn operator={operator} />}
      <ConfirmDialog />
      <Notes />
    </>
  )
}

function Pages({ client, isAway }: { client: Client; isAway: boolean }): JSX.Element {
  const t = texts()
  const { page, name, visit } = route.value
  const pulse = useMemo(() => createPulse(client.admin), [client])
  useEffect(() => pulse.start(), [pulse])
  const nav = useRef<HTMLElement>(null)
  const main = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  useEffect(() => {
    // On a phone the list of pages is wider than the screen.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' })
    // A new page is read from its beginning; the first one leaves the focus where the browser put it.
    if (!isFirst.current) {
      main.current?.focus({ preventScroll: true })
      scrollTo(0, 0)
    }
    isFirst.current = false
  }, [visit])
  const Detail = details[page]
  const Page = pages[page]
  return (
    <div class="console">
      <nav ref={nav} class="pages" aria-label={t.nav}>
        <ul>
          {pageNames.map((one) => (
            <li key={one}><a href={hrefOf(one)} aria-current={one === page ? 'page' : undefined}>{t.pages[one]}</a></li>
          ))}
        </ul>
      </nav>
      <main ref={main} id="main" tabIndex={-1} class="stack" data-testid={`page-${page}`}>
        <Notice tone="warn">{isAway ? t.away : undefined}</Notice>
        {Detail !== undefined && name !== undefined
          ? <Detail key={visit} client={client} pulse={pulse} name={name} />
          : <Page key={visit} client={client} pulse={pulse} />}
      </main>
    </div>
  )
}

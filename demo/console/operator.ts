// An operator at one relay: signed in or not, the client they work through, and how the connection is. The token lies in
// this tab's session and is gone with it.

import { type ReadonlySignal, signal } from '@preact/signals'
import { type Client, createClient, type LinkState, PocketError } from '../../core/index.ts'
import { createWebSocketDialler } from '../../web-client/engine/web-socket-dialler.ts'
import { createBrowserClock, createBrowserRandom } from '../../web-client/system.ts'

const tokenKey = 'pocketmq-console-token'

/**
 * `connecting` to begin with; `refused` where the relay wants a (better) token, can't be reached, or has shown the operator
 * out; `ready` from the first connection on, whether or not the link is up at the moment.
 */
export type OperatorState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'refused'; readonly error: PocketError }
  | { readonly kind: 'ready'; readonly client: Client }

export interface Operator {
  /** The relay, as people write it. */
  readonly host: string
  readonly state: ReadonlySignal<OperatorState>
  readonly link: ReadonlySignal<LinkState>
  /** Whether the newest attempt was made with a token. */
  readonly hasToken: boolean
  /** Connects, with a token or the one that is kept. */
  signIn(token?: string): void
  /** Forgets the token. */
  signOut(): void
}

/** `?relay=` names a relay; without it, it is the one that served the page. Begins to connect at once. */
export function createOperator(page: URL): Operator {
  const url = page.searchParams.get('relay') ?? new URL('../', page).href
  const state = signal<OperatorState>({ kind: 'connecting' })
  const link = signal<LinkState>('connecting')
  let current: Client | undefined
  let hasToken = false

  function refuse(error: PocketError): void {
    state.value = { kind: 'refused', error }
  }

  async function connect(token: string): Promise<void> {
    void current?.close()
    hasToken = token !== ''
    state.value = { kind: 'connecting' }
    let client: Client
    try {
      const clock = createBrowserClock()
      const dialler = createWebSocketDialler({ url, clock })
      client = createClient(
        { dialler, clock, random: createBrowserRandom() },
        { name: 'console', auth: token, connectTimeout: '8s', requestTimeout: '15s' },
      )
    } catch (error) {
      return refuse(asPocketError(error))
    }
    current = client
    client.on('link', (event) => {
      if (client !== current) return
      link.value = event.state
      if (event.state === 'closed' && event.error !== undefined) refuse(event.error)
    })
    // Told beside what failed.
    client.on('error', () => {})
    try {
      await client.connected
      if (client !== current) return
      keepToken(token)
      link.value = client.link
      state.value = { kind: 'ready', client }
    } catch (error) {
      if (client === current) refuse(asPocketError(error))
    }
  }

  void connect(keptToken())
  return {
    host: hostOf(url),
    state,
    link,
    get hasToken() {
      return hasToken
    },
    signIn: (token = keptToken()) => void connect(token),
    signOut() {
      keepToken('')
      void connect('')
    },
  }
}

/** Anything thrown, as an error with a code. */
export function asPocketError(error: unknown): PocketError {
  return error instanceof PocketError ? error : new PocketError('INTERNAL', String(error), { cause: error })
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url
}

function keptToken(): string {
  try {
    return sessionStorage.getItem(tokenKey) ?? ''
  } catch {
    // Storage is switched off.
    return ''
  }
}

function keepToken(token: string): void {
  try {
    if (token === '') sessionStorage.removeItem(tokenKey)
    else sessionStorage.setItem(tokenKey, token)
  } catch {
    // It lasts as long as the page, then.
  }
}

// Which page is shown, as the address says behind its `#`: `#/topics`, `#/topics/orders`, `#/messages?topic=orders`. So each
// page can be linked to, and the browser's own way back works.

import { signal } from '@preact/signals'

export const pageNames = [
  'overview', 'topics', 'groups', 'messages', 'dead-letters', 'delayed', 'trace', 'connections', 'settings',
] as const

export type PageName = (typeof pageNames)[number]

export interface Route {
  readonly page: PageName
  /** Of one topic or group. */
  readonly name: string | undefined
  readonly query: ReadonlyMap<string, string>
  /** Counts the steps: a link to the page that is shown opens it anew. */
  readonly visit: number
}

/** What is shown. Read while rendering. */
export const route = signal<Route>({ page: 'overview', name: undefined, query: new Map(), visit: 0 })

export interface RouteQuery {
  readonly [key: string]: string | undefined
}

/** The address of a page, for a link. Entries that are undefined or empty are left out. */
export function hrefOf(page: PageName, name?: string, query: RouteQuery = {}): string {
  const entries = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? '') !== '')
  const search = new URLSearchParams(entries).toString()
  return `#/${page}${name === undefined ? '' : `/${encodeURIComponent(name)}`}${search === '' ? '' : `?${search}`}`
}

/** Goes to a page. */
export function goTo(href: string): void {
  location.hash = href
}

/** Puts something into the query of the page shown, or takes it out; no step of its own for the way back. */
export function setQuery(changes: RouteQuery): void {
  const { page, name, query, visit } = route.value
  const href = hrefOf(page, name, { ...Object.fromEntries(query), ...changes })
  history.replaceState(history.state, '', href)
  route.value = readRoute(href, visit)
}

/** Follows the address. Called once by the page. */
export function startRoute(): void {
  route.value = readRoute(location.hash, 0)
  addEventListener('hashchange', () => (route.value = readRoute(location.hash, route.value.visit + 1)))
}

function readRoute(hash: string, visit: number): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s)
  const [first = '', second] = path.split('/')
  const page = pageNames.find((name) => name === first) ?? 'overview'
  const name = second === undefined || second === '' ? undefined : decoded(second)
  return { page, name, query: new Map(new URLSearchParams(search)), visit }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

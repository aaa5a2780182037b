// A room of the sale: who opens the same address is in the same room, in other tabs and on other devices. It says where the
// relay is, where topics live, and what they are called.

import { connect, type Home, type TopicSettings, type WebClient, type WebTopic } from '../../web-client/index.ts'
import { readSetting, writeSetting } from '../shared/settings.ts'

/** What the page's address says. */
export interface Address {
  readonly room: string
  /** Of the relay; undefined where there is none. */
  readonly relay: string | undefined
}

/** Room names are part of topic names. */
const roomPattern = /^[\w-]{1,32}$/

/**
 * `?room=` names the room, `?relay=` a relay, or `none`. Without it the page asks whether it was served by a relay, which
 * answers at `../healthz`; on a static host it was not.
 */
export async function readAddress(page: URL): Promise<Address> {
  const room = page.searchParams.get('room') ?? 'sale'
  const named = page.searchParams.get('relay')
  return { room: roomPattern.test(room) ? room : 'sale', relay: named === 'none' ? undefined : named ?? await findRelay(page) }
}

async function findRelay(page: URL): Promise<string | undefined> {
  try {
    const answer = await fetch(new URL('../healthz', page), { signal: AbortSignal.timeout(3_000) })
    return answer.ok && (await answer.text()) === 'ok\n' ? new URL('../', page).href : undefined
  } catch {
    return undefined
  }
}

export interface Room {
  readonly name: string
  readonly mq: WebClient
  readonly relay: string | undefined
  /** Where this room's topics live: at the relay where there is one. */
  readonly home: Home
  /** This tab, for people: short and the same while the tab lives. */
  readonly tabName: string
  /** This browser: the same in all its tabs, today and tomorrow. */
  readonly deviceName: string
  /** The room's name of a topic or group. */
  nameOf(part: string): string
  /** A topic that is there when it resolves. */
  openTopic<T>(part: string, settings?: TopicSettings & { readonly home?: Home }): Promise<WebTopic<T>>
}

export async function openRoom({ room, relay }: Address, token: () => string): Promise<Room> {
  // Rooms of several relays on one static host are different browsers' worth of data.
  const name = `sale-${room}-${relay === undefined ? 'device' : hashOf(relay)}`
  const tabName = tabNameOf()
  const deviceName = deviceNameOf()
  // To a relay all tabs of a browser are one client.
  const options = { name, clientName: relay === undefined ? tabName : deviceName, auth: token }
  const mq = relay === undefined ? await connect(options) : await connect(relay, options)
  const home: Home = relay === undefined ? 'device' : 'relay'
  const nameOf = (part: string): string => `sale-${room}-${part}`
  return {
    name: room, mq, relay, home, tabName, deviceName, nameOf,
    async openTopic(part, { home: own = home, ...settings } = {}) {
      await mq.adminOf(own).createTopic(nameOf(part), { retention: '1d', trace: 1, ...settings })
      return mq.topic(nameOf(part), { home: own })
    },
  }
}

function deviceNameOf(): string {
  const kept = readSetting('device')
  if (kept !== undefined) return kept
  const name = `device ${crypto.getRandomValues(new Uint32Array(1))[0]?.toString(36) ?? ''}`
  writeSetting('device', name)
  return name
}

/** A group for a reader that is new each time: it begins where it says. */
export function newReader(): string {
  // Not `crypto.randomUUID`, which pages without TLS do not have.
  return `reader-${[...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join('')}`
}

/** Kept over reloads, but not by a copy of the tab's address. */
function tabNameOf(): string {
  const name = `tab ${crypto.getRandomValues(new Uint16Array(1))[0]?.toString(36) ?? ''}`
  try {
    const kept = sessionStorage.getItem('pocketmq-sale-tab')
    if (kept !== null) return kept
    sessionStorage.setItem('pocketmq-sale-tab', name)
  } catch {
    // Storage is switched off.
  }
  return name
}

/** Short, and the same for the same text. FNV-1a. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193)
  return (hash >>> 0).toString(36)
}

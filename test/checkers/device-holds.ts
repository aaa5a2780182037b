// What tabs hold: a message that one tab has taken is nobody else's in its group while the tab lives and runs, its engine
// lives, and the relay is there for what is the relay's. And a tab that stands still does not keep it from others.

import type { MessageName, Violation } from './history.ts'

/** What happened on a device, in order; times are milliseconds that never go back. */
export type HoldEvent =
  /** The tab takes part in the group. */
  | { readonly kind: 'joined'; readonly atMs: number; readonly tab: string; readonly group: string; readonly home: string }
  /** An application in the tab was given the message, under a lease. */
  | {
      readonly kind: 'took'
      readonly atMs: number
      readonly tab: string
      readonly group: string
      readonly message: MessageName
    }
  /** It was settled, or the tab learned that it is no longer the tab's. */
  | {
      readonly kind: 'let-go'
      readonly atMs: number
      readonly tab: string
      readonly group: string
      readonly message: MessageName
    }
  | { readonly kind: 'frozen' | 'thawed' | 'died'; readonly atMs: number; readonly tab: string }
  /** An engine died, stands still or was robbed, or the link broke: leases of that home may end without a word. */
  | { readonly kind: 'unsettled'; readonly atMs: number; readonly home: string }

interface Hold {
  readonly tab: string
  readonly group: string
  readonly message: MessageName
  readonly atMs: number
  /** Its lease may have ended. */
  isExcused: boolean
}

/**
 * Messages that a tab took while another, which was well, held them. Who stood still when the other took one may have had
 * it on its way from before; it is told so next.
 */
export function findOverlappingHolds(events: readonly HoldEvent[]): Violation[] {
  const violations: Violation[] = []
  const holds = new Map<string, Hold>()
  const homes = new Map<string, string>()
  const thawedMs = new Map<string, number>()
  for (const event of events) {
    if (event.kind === 'thawed') thawedMs.set(event.tab, event.atMs)
    if (event.kind === 'joined') homes.set(event.group, event.home)
    else if (event.kind === 'took') {
      const { tab, group, message, atMs } = event
      const key = keyOf(event)
      const before = holds.get(key)
      const isAnothers = before !== undefined && before.tab !== tab
      if (isAnothers && (thawedMs.get(tab) ?? -Infinity) >= before.atMs) continue
      if (isAnothers && !before.isExcused) {
        const text = `${tab} took ${message} of ${group} at ${atMs.toFixed(1)} ms`
        violations.push({ message, text: `${text}, which ${before.tab} held since ${before.atMs.toFixed(1)} ms` })
      }
      holds.set(key, { tab, group, message, atMs, isExcused: false })
    } else if (event.kind === 'let-go') {
      if (holds.get(keyOf(event))?.tab === event.tab) holds.delete(keyOf(event))
    } else {
      for (const hold of holds.values()) {
        const isHit = event.kind === 'unsettled' ? homes.get(hold.group) === event.home : hold.tab === event.tab
        if (isHit) hold.isExcused = true
      }
    }
  }
  return violations
}

/**
 * Messages of groups of `home` that a tab kept from others for longer than `boundMs` while it stood still, though another
 * tab of the group was well all that time, and the engine too.
 */
export function findKeptHolds(events: readonly HoldEvent[], { home, boundMs }: {
  readonly home: string
  readonly boundMs: number
}): Violation[] {
  const violations: Violation[] = []
  events.forEach((event, index) => {
    if (event.kind !== 'frozen') return
    const { tab, atMs } = event
    const before = events.slice(0, index)
    const held = heldBy(before, tab)
    if (held.length === 0) return
    const untilMs = atMs + boundMs
    const window = events.slice(index + 1).filter((later) => later.atMs <= untilMs)
    // The run may have ended before that.
    if ((events.at(-1) as HoldEvent).atMs < untilMs) return
    const isSettled = window.every((later) => !(later.kind === 'unsettled' && later.home === home))
    if (!isSettled || window.some((later) => isEndOfStandstill(later, tab))) return
    for (const { group, message } of held) {
      const others = membersOf(before, group, home).filter((other) => other !== tab)
      const well = others.filter((other) => isWell(before, other) && !window.some((later) => isAboutStanding(later, other)))
      const wasTaken = window.some((later) => {
        return later.kind === 'took' && later.group === group && later.message === message && later.tab !== tab
      })
      if (well.length === 0 || wasTaken) continue
      const text = `${tab} stood still from ${atMs.toFixed(1)} ms on and kept ${message} from ${well.join(', ')} of ${group}`
      violations.push({ message, text: `${text} for more than ${boundMs} ms` })
    }
  })
  return violations
}

/** Without what was on its way to the tab while it stood still, and another took meanwhile: of that it is told next. */
function heldBy(events: readonly HoldEvent[], tab: string): Hold[] {
  const holds = new Map<string, Hold>()
  let isFrozen = false
  /** Taken by others while the tab stood still the last time. */
  let passedOn = new Set<string>()
  for (const event of events) {
    if (event.kind === 'frozen' && event.tab === tab) {
      isFrozen = true
      passedOn = new Set()
    } else if (event.kind === 'thawed' && event.tab === tab) isFrozen = false
    if (event.kind !== 'took' && event.kind !== 'let-go') continue
    const { group, message, atMs } = event
    const key = keyOf(event)
    if (event.kind === 'took') {
      if (event.tab !== tab && isFrozen) passedOn.add(key)
      if (event.tab === tab && passedOn.delete(key)) continue
      // Who took it last has it.
      holds.set(key, { tab: event.tab, group, message, atMs, isExcused: false })
    } else if (holds.get(key)?.tab === event.tab) holds.delete(key)
  }
  return [...holds.values()].filter((hold) => hold.tab === tab)
}

function membersOf(events: readonly HoldEvent[], group: string, home: string): string[] {
  return events.flatMap((event) => (event.kind === 'joined' && event.group === group && event.home === home ? [event.tab] : []))
}

/** Runs and lives. */
function isWell(events: readonly HoldEvent[], tab: string): boolean {
  const last = events.findLast((event) => isAboutStanding(event, tab))
  return last === undefined || last.kind === 'thawed'
}

function isAboutStanding(event: HoldEvent, tab: string): boolean {
  return (event.kind === 'frozen' || event.kind === 'thawed' || event.kind === 'died') && event.tab === tab
}

function isEndOfStandstill(event: HoldEvent, tab: string): boolean {
  return isAboutStanding(event, tab) && event.kind !== 'frozen'
}

function keyOf({ group, message }: { readonly group: string; readonly message: MessageName }): string {
  return `${group} ${message}`
}

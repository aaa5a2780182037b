// Replays a relay history into what is known of every message in every group: who holds it, until when at least, whether
// it is consumed. It judges little itself: it notes each handing out of a message beside what was known of it until then,
// and the checkers beside this file read those notes.
//
// What was asked and not answered when the relay died is unclear: it may have taken effect or not, so it can excuse what
// follows and can't accuse.

import {
  progressGroupOf, type Receipt, type RelayEvent, type RelayEventOf, type RelayHistory, type SettleVerb,
} from './relay-history.ts'

export interface LeaseBookOptions {
  /** How long the leases of a member without a connection are kept. */
  readonly memberGraceMs: number
  readonly attemptCountMaxOf: (group: string) => number
  /** How long a message waits after its `attempt`-th delivery that failed. */
  readonly retryDelayMsOf: (group: string, attempt: number) => number
  /** In FIFO topics: the message before this one of its message group, in the same queue. */
  readonly predecessorOf?: (topic: string, queueId: number, offset: number) => number | undefined
  /** Whether the message is gone from the disk, by retention or damage. */
  readonly isGone?: (topic: string, queueId: number, offset: number) => boolean
}

/** One message, handed out to one member. */
export interface Grant {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  readonly member: string
  readonly leaseId: number
  readonly attempt: number
  readonly grantedMs: number
  /** The delivery before; undefined for the first one, and after the group was moved. */
  readonly before: Before | undefined
  /** Offset of an earlier message of its message group that was not done with. */
  readonly blockedBy: number | undefined
  /** How often the relay has been opened again since the delivery before: each time one may have been lost, untold. */
  readonly reopenCount: number
  /** The same until the end, if this is the last delivery. */
  reopenCountAfter: number
}

export interface Before {
  readonly member: string
  readonly leaseId: number
  readonly attempt: number
  /** It was given back, and waits. Else it is held. */
  readonly isBack: boolean
  /** It was given back as never shown: that delivery does not count. */
  readonly isReleased: boolean
  readonly isConsumed: boolean
  /** Not before this may it be handed out again. */
  readonly freeMs: number
}

/** An ack, retry or extension that was accepted though nothing was held under that lease. */
export interface StaleAcceptance {
  readonly group: string
  readonly topic: string
  readonly member: string
  readonly verb: SettleVerb
  readonly receipt: Receipt
}

type Known = 'no' | 'asked' | 'unclear' | 'yes'

interface MessageState {
  readonly offset: number
  readonly lease: LeaseState
  readonly grant: Grant
  ack: Known
  back: Known
  isReleased: boolean
  /** When it may come again after it was given back. */
  backFreeMs: number
  reopenCount: number
}

interface LeaseState {
  readonly leaseId: number
  readonly member: MemberState
  readonly subscription: Subscription
  readonly queueId: number
  readonly attempt: number
  readonly grantedMs: number
  readonly offsets: ReadonlySet<number>
  /** It ends by itself no earlier. */
  deadlineMs: number
  /** Its member was taken out of the group. */
  endedMs: number
}

interface MemberState {
  readonly name: string
  membership: number
  /** Since when it has no connection. */
  detachedMs: number | undefined
  readonly leases: Set<LeaseState>
}

interface MembershipState {
  readonly member: MemberState
  readonly subscription: Subscription
  /** What was handed out before and is told after is free from then on. */
  leftMs: number
}

/** A group on a topic. */
interface Subscription {
  readonly group: string
  readonly topic: string
  readonly members: Map<string, MemberState>
  readonly queues: Map<number, Map<number, MessageState>>
  /** Queues of which it is not known where the group stands. */
  readonly lostQueues: Set<number>
}

interface Settlement {
  readonly event: RelayEventOf<'settling'>
  readonly member: MemberState
  readonly subscription: Subscription
  /** Per receipt: what it was about. */
  readonly touched: readonly (readonly MessageState[])[]
  readonly wasDone: readonly boolean[]
}

export class LeaseBook {
  readonly grants: Grant[] = []
  readonly staleAcceptances: StaleAcceptance[] = []
  /** Lease ids that were given twice. */
  readonly reusedLeaseIds: { readonly leaseId: number; readonly group: string }[] = []
  readonly #options: LeaseBookOptions
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #memberships = new Map<number, MembershipState>()
  readonly #leases = new Map<number, LeaseState>()
  readonly #settlements = new Map<number, Settlement>()
  readonly #resets = new Map<number, RelayEventOf<'resetting'>>()
  #reopenCount = -1
  #lastForwardJumpMs = -Infinity

  constructor(options: LeaseBookOptions) {
    this.#options = options
  }

  /** The book of a whole history. */
  static of(history: RelayHistory, options: LeaseBookOptions): LeaseBook {
    const book = new LeaseBook(options)
    for (const event of history) book.hear(event)
    return book
  }

  hear(event: RelayEvent): void {
    switch (event.kind) {
      case 'joined':
        return this.#joined(event)
      case 'detached':
        return this.#detached(event)
      case 'left':
        return this.#left(event)
      case 'leased':
        return this.#leased(event)
      case 'settling':
        return this.#settling(event)
      case 'settled':
        return this.#settled(event)
      case 'resetting':
        this.#resets.set(event.reset, event)
        return
      case 'reset':
        return this.#reset(event)
      case 'gone':
        return this.#gone()
      case 'opened':
        return this.#opened(event)
      case 'wall-jumped':
        if (event.byMs > 0) this.#lastForwardJumpMs = event.atMs
        return
      case 'damage-reported':
        return this.#damaged(event)
      default:
    }
  }

  /** Whether the group is done with the message for certain: it was acked, and that was confirmed. */
  isConsumed(group: string, topic: string, queueId: number, offset: number): boolean {
    return this.#stateOf(group, topic, queueId, offset)?.ack === 'yes'
  }

  /** Whether the group may be done with the message: acked, even if nobody heard so, or dead after its last attempt. */
  mayBeDone(group: string, topic: string, queueId: number, offset: number, atMs: number): boolean {
    const state = this.#stateOf(group, topic, queueId, offset)
    return state !== undefined && (state.ack !== 'no' || this.#isDead(group, state, atMs))
  }

  /** Where the group stands in that queue was lost, or moved with an unknown end. */
  isLost(group: string, topic: string, queueId: number): boolean {
    return this.#subscriptions.get(subscriptionKey(group, topic))?.lostQueues.has(queueId) === true
  }

  // ── members ───────────────────────────────────────────────────────────────────────────────────────────────────

  #joined({ atMs, membership, member: name, group, topic, isLeasing }: RelayEventOf<'joined'>): void {
    if (!isLeasing) return
    const subscription = this.#subscriptionOf(group, topic)
    const member = subscription.members.get(name) ??
      { name, membership, detachedMs: undefined, leases: new Set<LeaseState>() }
    subscription.members.set(name, member)
    const goneMs = (member.detachedMs ?? Infinity) + this.#options.memberGraceMs
    if (goneMs <= atMs) endLeases(member, goneMs)
    member.membership = membership
    member.detachedMs = undefined
    this.#memberships.set(membership, { member, subscription, leftMs: Infinity })
  }

  #detached({ atMs, membership }: RelayEventOf<'detached'>): void {
    const member = this.#memberships.get(membership)?.member
    if (member?.membership === membership) member.detachedMs ??= atMs
  }

  #left({ atMs, membership }: RelayEventOf<'left'>): void {
    const known = this.#memberships.get(membership)
    if (known?.member.membership !== membership) return
    known.leftMs = atMs
    endLeases(known.member, atMs)
  }

  // ── leases ────────────────────────────────────────────────────────────────────────────────────────────────────

  #leased(event: RelayEventOf<'leased'>): void {
    const { leaseId, queueId, attempt, grantedMs, leaseMs, offsets } = event
    const known = this.#memberships.get(event.membership)
    if (known === undefined) return
    const { member, subscription } = known
    const { group, topic } = subscription
    const same = this.#leases.get(leaseId)
    const isRepeat = same !== undefined && same.subscription === subscription && same.queueId === queueId &&
      same.member === member && offsets.every((offset) => same.offsets.has(offset))
    if (isRepeat) return
    if (same !== undefined) this.reusedLeaseIds.push({ leaseId, group })
    const lease: LeaseState = {
      leaseId, member, subscription, queueId, attempt, grantedMs,
      offsets: new Set(offsets),
      deadlineMs: grantedMs + leaseMs,
      endedMs: known.leftMs,
    }
    this.#leases.set(leaseId, lease)
    member.leases.add(lease)
    const states = statesOf(subscription, queueId)
    for (const offset of offsets) {
      const state = states.get(offset)
      // Of what was delivered before, nothing is known there.
      const isLost = state === undefined && subscription.lostQueues.has(queueId)
      const grant: Grant = {
        group, topic, queueId, offset, leaseId, attempt, grantedMs,
        member: member.name,
        before: state === undefined ? undefined : this.#beforeOf(state),
        blockedBy: this.#blockedBy(subscription, queueId, offset, grantedMs),
        reopenCount: isLost ? Infinity : this.#reopenCount - (state?.reopenCount ?? 0),
        reopenCountAfter: 0,
      }
      this.grants.push(grant)
      states.set(offset, {
        offset, lease, grant,
        ack: 'no', back: 'no', isReleased: false, backFreeMs: Infinity,
        reopenCount: this.#reopenCount,
      })
    }
  }

  #beforeOf(state: MessageState): Before {
    const { lease: { member, leaseId, attempt }, back } = state
    return {
      member: member.name, leaseId, attempt,
      isBack: back === 'yes',
      isReleased: state.isReleased,
      isConsumed: state.ack === 'yes',
      freeMs: this.#freeMs(state),
    }
  }

  /** From when on the message may be handed out again. */
  #freeMs({ lease, back, backFreeMs }: MessageState): number {
    if (back === 'yes') return backFreeMs
    const { member, deadlineMs, endedMs } = lease
    const removedMs = (member.detachedMs ?? Infinity) + this.#options.memberGraceMs
    return Math.min(deadlineMs, endedMs, removedMs, backFreeMs)
  }

  /** The nearest message before it in its message group that is on the disk, unless that is done with. */
  #blockedBy(subscription: Subscription, queueId: number, offset: number, atMs: number): number | undefined {
    const { predecessorOf, isGone } = this.#options
    const { group, topic, lostQueues } = subscription
    if (predecessorOf === undefined || lostQueues.has(queueId)) return undefined
    let before = predecessorOf(topic, queueId, offset)
    while (before !== undefined && isGone?.(topic, queueId, before) === true) before = predecessorOf(topic, queueId, before)
    if (before === undefined) return undefined
    const state = statesOf(subscription, queueId).get(before)
    if (state === undefined) return before
    const isDone = state.ack === 'yes' || state.ack === 'unclear' || this.#isDead(group, state, atMs)
    return isDone ? undefined : before
  }

  #isDead(group: string, state: MessageState, atMs: number): boolean {
    const reopenCount = this.#reopenCount - state.reopenCount
    const attemptCountMax = this.#options.attemptCountMaxOf(group)
    if (state.lease.attempt + reopenCount < attemptCountMax) return false
    // The last attempts may have been made and never told of.
    if (state.lease.attempt < attemptCountMax) return true
    if (state.back === 'yes') return !state.isReleased
    // A message given back after its last attempt does not wait.
    return state.back !== 'no' || this.#freeMs(state) <= atMs
  }

  // ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────

  #settling(event: RelayEventOf<'settling'>): void {
    const known = this.#memberships.get(event.membership)
    if (known === undefined) return
    const { member, subscription } = known
    const touched: MessageState[][] = []
    const wasDone: boolean[] = []
    for (const receipt of event.receipts) {
      const lease = this.#leases.get(receipt.leaseId)
      const states: MessageState[] = []
      let isDone = false
      for (let offset = receipt.offset; lease !== undefined && offset < receipt.offset + receipt.count; offset++) {
        const state = lease.offsets.has(offset) ? statesOf(subscription, receipt.queueId).get(offset) : undefined
        if (state?.lease !== lease) continue
        if (state.ack === 'yes' || state.ack === 'unclear') isDone = true
        if (state.ack !== 'yes' && state.back !== 'yes') states.push(state)
      }
      for (const state of states) this.#ask(event, state)
      touched.push(states)
      wasDone.push(isDone)
    }
    this.#settlements.set(event.settlement, { event, member, subscription, touched, wasDone })
  }

  #ask(event: RelayEventOf<'settling'>, state: MessageState): void {
    const { atMs, verb, leaseMs = 0 } = event
    const { lease } = state
    if (verb === 'ack') {
      if (state.ack === 'no') state.ack = 'asked'
    } else if (verb === 'extend') {
      lease.deadlineMs = Math.min(lease.deadlineMs, atMs + leaseMs)
    } else {
      if (state.back === 'no') state.back = 'asked'
      state.isReleased = verb === 'release'
      state.backFreeMs = Math.min(state.backFreeMs, this.#backMs(event, lease))
    }
  }

  /** When a message that is given back now may come again. */
  #backMs({ atMs, verb, delayMs }: RelayEventOf<'settling'>, { subscription, attempt }: LeaseState): number {
    if (verb === 'release') return atMs
    return atMs + (delayMs ?? this.#options.retryDelayMsOf(subscription.group, attempt))
  }

  /**
   * The answer has come. A refusal does not say that an earlier try of the same, whose answer died with the relay, had no
   * effect.
   */
  #conclude(event: RelayEventOf<'settling'>, state: MessageState, isRefused: boolean): void {
    const { atMs, verb, leaseMs = 0 } = event
    if (verb === 'extend') {
      if (!isRefused) state.lease.deadlineMs = atMs + leaseMs
    } else if (verb === 'ack') {
      if (!isRefused) state.ack = 'yes'
      else if (state.ack === 'asked') state.ack = 'no'
    } else if (!isRefused) {
      state.back = 'yes'
      state.backFreeMs = this.#backMs(event, state.lease)
    } else if (state.back === 'asked') {
      state.back = 'no'
      state.backFreeMs = Infinity
    }
  }

  #settled({ settlement, refused }: RelayEventOf<'settled'>): void {
    const found = this.#settlements.get(settlement)
    if (found === undefined) return
    this.#settlements.delete(settlement)
    const { event, member, subscription, touched, wasDone } = found
    const { group, topic } = subscription
    for (let index = 0; index < event.receipts.length; index++) {
      const states = touched[index] as readonly MessageState[]
      const receipt = event.receipts[index] as Receipt
      const isRefused = refused.includes(index)
      // A later delivery may have been told between the question and the answer.
      const queue = statesOf(subscription, receipt.queueId)
      const current = states.filter((state) => queue.get(state.offset) === state)
      for (const state of states) this.#conclude(event, state, isRefused)
      const isStale = event.verb === 'ack' ? current.length === 0 && wasDone[index] !== true : current.length === 0
      if (!isRefused && isStale && !subscription.lostQueues.has(receipt.queueId)) {
        this.staleAcceptances.push({ group, topic, member: member.name, verb: event.verb, receipt })
      }
    }
  }

  // ── what changes everything ───────────────────────────────────────────────────────────────────────────────────

  #reset({ reset, queues }: RelayEventOf<'reset'>): void {
    const asked = this.#resets.get(reset)
    if (asked === undefined) return
    this.#resets.delete(reset)
    const subscription = this.#subscriptionOf(asked.group, asked.topic)
    for (const { queueId } of queues) {
      subscription.queues.delete(queueId)
      subscription.lostQueues.delete(queueId)
    }
  }

  #damaged({ what, topic, queueId }: RelayEventOf<'damage-reported'>): void {
    for (const subscription of this.#subscriptions.values()) {
      const isHit = subscription.topic === topic && progressGroupOf(what) === subscription.group
      if (isHit) subscription.queues.delete(queueId)
    }
  }

  #gone(): void {
    for (const { touched } of this.#settlements.values()) {
      for (const state of touched.flat()) {
        if (state.ack === 'asked') state.ack = 'unclear'
        if (state.back === 'asked') state.back = 'unclear'
      }
    }
    this.#settlements.clear()
    for (const { group, topic, queueId } of this.#resets.values()) {
      const subscription = this.#subscriptionOf(group, topic)
      const queueIds = queueId === undefined ? [...subscription.queues.keys()] : [queueId]
      for (const lost of queueIds) {
        subscription.queues.delete(lost)
        subscription.lostQueues.add(lost)
      }
    }
    this.#resets.clear()
    this.#memberships.clear()
  }

  #opened({ atMs }: RelayEventOf<'opened'>): void {
    this.#reopenCount++
    for (const { members, queues } of this.#subscriptions.values()) {
      for (const member of members.values()) {
        const goneMs = (member.detachedMs ?? Infinity) + this.#options.memberGraceMs
        if (goneMs <= atMs) endLeases(member, goneMs)
        member.detachedMs = atMs
        for (const lease of member.leases) lease.deadlineMs = this.#afterRestart(lease.deadlineMs, lease.grantedMs, atMs)
      }
      for (const states of queues.values()) {
        for (const state of states.values()) {
          state.grant.reopenCountAfter = this.#reopenCount - state.reopenCount
          state.backFreeMs = this.#afterRestart(state.backFreeMs, state.lease.grantedMs, atMs)
        }
      }
    }
  }

  /** Times survive a restart as whole milliseconds of the wall clock, which may have been moved forwards since. */
  #afterRestart(timeMs: number, sinceMs: number, openedMs: number): number {
    const isJumped = this.#lastForwardJumpMs >= sinceMs
    return (isJumped ? Math.min(timeMs, openedMs) : timeMs) - 1
  }

  #subscriptionOf(group: string, topic: string): Subscription {
    const key = subscriptionKey(group, topic)
    const known = this.#subscriptions.get(key)
    if (known !== undefined) return known
    const subscription = { group, topic, members: new Map(), queues: new Map(), lostQueues: new Set<number>() }
    this.#subscriptions.set(key, subscription)
    return subscription
  }

  #stateOf(group: string, topic: string, queueId: number, offset: number): MessageState | undefined {
    return this.#subscriptions.get(subscriptionKey(group, topic))?.queues.get(queueId)?.get(offset)
  }
}

function subscriptionKey(group: string, topic: string): string {
  return `${group} ${topic}`
}

function statesOf({ queues }: Subscription, queueId: number): Map<number, MessageState> {
  const known = queues.get(queueId)
  if (known !== undefined) return known
  const states = new Map<number, MessageState>()
  queues.set(queueId, states)
  return states
}

function endLeases(member: MemberState, atMs: number): void {
  for (const lease of member.leases) lease.endedMs = Math.min(lease.endedMs, atMs)
  member.leases.clear()
}

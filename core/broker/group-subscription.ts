// One consumer group on one topic, CLUSTERING: who its members are, and how messages are shared among those that have
// given credit. Members whose connection broke keep their leases for the grace time. What is next in a queue is
// GroupQueue's to decide.

import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { everyMessage, type MessageFilter } from '../filter/message-filter.ts'
import type { Position } from '../model/position.ts'
import type { GroupConfig } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { LeaseRange } from '../protocol/frames.ts'
import { producerIdToText } from '../record/record-batch.ts'
import type { Taken } from './demand.ts'
import type { Answer, Delivery, MemberSink, Membership, RangeFailure, ReceiveRequest, SubscribeRequest } from './door.ts'
import type { GroupQueue } from './group-queue.ts'
import type { LeaseHolder } from './lease.ts'
import { RateMeter } from './rate-meter.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers, Wait } from './timers.ts'
import type { Turn } from './turn.ts'

/** A member never gets fewer than this at once while others wait too: small leases cost more than fairness brings. */
const sharedTakeMin = 32
/** Deliveries of one subscription in one turn, before others have theirs. */
const deliveriesPerTurnMax = 1024

export interface GroupSubscriptionDeps {
  readonly limits: Limits
  readonly turn: Turn
  readonly timers: Timers
  readonly clock: Clock
  readonly config: () => GroupConfig
  /** Whether the queues of its topic are priorities, the highest first. */
  readonly isPriority: boolean
  /** Whether its topic is relaxed now. */
  readonly isRelaxed: () => boolean
  /** Asks for `dispatch` before this turn ends. */
  readonly wake: (subscription: GroupSubscription) => void
  readonly counters: BrokerCounters
}

interface PendingReceive {
  readonly request: ReceiveRequest
  readonly answer: Answer<number>
  readonly wait: Wait
  /** Its time is over: what the next dispatch finds is all it gets. */
  isDue: boolean
  /** It was due, and a queue waited for the store: it gets one dispatch more. */
  isLast: boolean
  /** Given so far, in this turn. */
  messageCount: number
  byteCount: number
}

/** A member, whether its connection lives or not. */
interface Member extends LeaseHolder {
  readonly memberId: Uint8Array
  readonly memberKey: string
  /** Undefined while it is gone. */
  sink: MemberSink | undefined
  details: SubscribeRequest | undefined
  leaseMs: number
  creditMessageCount: number
  creditByteCount: number
  /** Delivered in this turn: what the socket will be given before it can say that it is full. */
  turnByteCount: number
  receive: PendingReceive | undefined
  lastAttemptId: number
  /** What the last receive was given. */
  lastReceived: { readonly queue: GroupQueue; readonly leaseId: number }[]
  /** Queues that were moved, and where to, of which it was not told as it was gone. */
  readonly missedResets: Map<number, Position>
  grace: Wait | undefined
}

/** What is shared in one turn. */
interface Round {
  /** Who still wants something; those who have enough leave. */
  readonly wanting: Member[]
  /** By queue: what a member gets at most at once. */
  readonly shares: readonly number[]
  readonly config: GroupConfig
  /** Messages that may still be out, of the group's bound. */
  room: number
  /** Deliveries left before others have their turn; below 0 there was more. */
  left: number
}

export class GroupSubscription {
  readonly group: string
  readonly topic: string
  readonly queues: readonly GroupQueue[]
  /** Delivered since the broker opened. */
  messagesOut = 0
  bytesOut = 0
  deadLetters = 0
  readonly #deps: GroupSubscriptionDeps
  readonly #members = new Map<string, Member>()
  readonly #delivered: RateMeter
  readonly #acked: RateMeter
  #filter: MessageFilter = everyMessage
  /** Where the next round starts, so that nobody is always first. */
  #memberTurn = 0
  #queueTurn = 0

  constructor(group: string, topic: string, queues: readonly GroupQueue[], deps: GroupSubscriptionDeps) {
    this.group = group
    this.topic = topic
    this.queues = queues
    this.#deps = deps
    const nowMs = deps.clock.monotonic()
    this.#delivered = new RateMeter(nowMs)
    this.#acked = new RateMeter(nowMs)
  }

  get connectedMembers(): SubscribeRequest[] {
    return [...this.#members.values()].flatMap((member) => (member.sink && member.details ? [member.details] : []))
  }

  inFlightOf(memberId: Uint8Array): number {
    return this.#members.get(producerIdToText(memberId))?.inFlightCount ?? 0
  }

  get backlog(): number {
    return this.queues.reduce((sum, queue) => sum + queue.backlog, 0)
  }

  get inFlightCount(): number {
    return this.queues.reduce((sum, queue) => sum + queue.inFlightCount, 0)
  }

  get heldCount(): number {
    return this.queues.reduce((sum, queue) => sum + queue.heldCount, 0)
  }

  /** Over about the last minute, in thousandths of a message per second. */
  get deliveredPerSecond(): number {
    return this.#delivered.perSecondThousandths(this.#deps.clock.monotonic())
  }

  /** As {@link deliveredPerSecond}. */
  get ackedPerSecond(): number {
    return this.#acked.perSecondThousandths(this.#deps.clock.monotonic())
  }

  // ── what operators do ─────────────────────────────────────────────────────────────────────────────────────────

  /** The group's configuration has changed. */
  configured(): void {
    for (const queue of this.queues) queue.configured()
    this.#deps.wake(this)
  }

  /** Moves the group in a queue: what its members hold of it is void, and they are told. */
  reset(queueId: number, offset: number): void {
    const queue = this.queues[queueId]
    if (queue === undefined) return
    queue.reset(offset)
    const position = queue.log.position(offset)
    for (const member of this.#members.values()) {
      member.missedResets.set(queueId, position)
      this.#tellResets(member)
    }
  }

  /** Tells a member that came back what it missed. Called when it has been told that it is back. */
  welcome(memberId: Uint8Array): void {
    const member = this.#members.get(producerIdToText(memberId))
    if (member !== undefined) this.#tellResets(member)
  }

  #tellResets(member: Member): void {
    const { sink } = member
    if (sink === undefined || member.missedResets.size === 0) return
    this.#deps.turn.after(() => {
      // On another connection it is told when it is welcomed there.
      if (member.sink !== sink) return
      for (const [queueId, position] of member.missedResets) sink.reset(queueId, position)
      member.missedResets.clear()
    })
  }

  /** Decides on the messages that are held in all queues. */
  settleHeld(how: 'retry' | 'dead-letter'): void {
    for (const queue of this.queues) queue.settleHeld(how)
  }

  // ── members ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** A member as found in a stored lease: gone, with the grace time to return. */
  restoreMember(memberId: Uint8Array): LeaseHolder {
    const memberKey = producerIdToText(memberId)
    const known = this.#members.get(memberKey)
    if (known !== undefined) return known
    const member = this.#newMember(memberId, memberKey)
    this.#startGrace(member)
    return member
  }

  /** Takes a member in, or back. Throws SUBSCRIPTION_CONFLICT where others of the group want another filter. */
  join(request: SubscribeRequest, filter: MessageFilter, leaseMs: number, sink: MemberSink): Membership {
    const memberKey = producerIdToText(request.memberId)
    const isSame = filter.kind === this.#filter.kind && filter.expression === this.#filter.expression
    if (!isSame && this.#isConnectedBeside(memberKey)) {
      throw new PocketError(
        'SUBSCRIPTION_CONFLICT',
        `members of '${this.group}' on '${this.topic}' are subscribed to ${describeFilter(this.#filter)}, ` +
          `not to ${describeFilter(filter)}; all members of a group take the same filter`,
      )
    }
    this.#filter = filter
    const member = this.#members.get(memberKey) ?? this.#newMember(request.memberId, memberKey)
    const replaced = member.sink
    this.#endReceive(member, new PocketError('SUBSCRIPTION_NOT_FOUND', 'the member came back on another connection'))
    this.#deps.timers.cancel(member.grace)
    member.grace = undefined
    member.sink = sink
    member.details = request
    member.leaseMs = leaseMs
    member.creditMessageCount = 0
    member.creditByteCount = 0
    if (replaced !== undefined) {
      this.#deps.turn.after(() => replaced.revoked(new PocketError('CLOSED', 'the member came back on another connection')))
    }
    return this.#membershipOf(member, sink)
  }

  /** Ends all memberships: the topic is gone. */
  revokeAll(reason: PocketError): void {
    for (const member of this.#members.values()) {
      const { sink } = member
      this.#deps.timers.cancel(member.grace)
      this.#endReceive(member, reason)
      member.sink = undefined
      if (sink !== undefined) this.#deps.turn.after(() => sink.revoked(reason))
    }
    this.#members.clear()
    for (const queue of this.queues) queue.reset(queue.cursor)
  }

  #isConnectedBeside(memberKey: string): boolean {
    for (const member of this.#members.values()) if (member.sink !== undefined && member.memberKey !== memberKey) return true
    return false
  }

  #newMember(memberId: Uint8Array, memberKey: string): Member {
    const member: Member = {
      memberId,
      memberKey,
      sink: undefined,
      details: undefined,
      leaseMs: this.#deps.limits.leaseMsDefault,
      creditMessageCount: 0,
      creditByteCount: 0,
      turnByteCount: 0,
      inFlightCount: 0,
      receive: undefined,
      lastAttemptId: 0,
      lastReceived: [],
      missedResets: new Map(),
      grace: undefined,
    }
    this.#members.set(memberKey, member)
    return member
  }

  #startGrace(member: Member): void {
    const atMs = this.#deps.clock.monotonic() + this.#deps.limits.memberGraceMs
    member.grace = this.#deps.timers.at(atMs, () => this.#remove(member, true))
  }

  /** `isOver`: it did not come back in time; else it left. */
  #remove(member: Member, isOver: boolean): void {
    this.#members.delete(member.memberKey)
    if (member.inFlightCount === 0) return
    for (const queue of this.queues) queue.giveBackAll(member, isOver)
  }

  /** The door of one member and one connection; after the member came back elsewhere it does nothing. */
  #membershipOf(member: Member, sink: MemberSink): Membership {
    const isCurrent = () => member.sink === sink
    const { turn } = this.#deps
    const settle = (
      ranges: readonly LeaseRange[], answer: Answer<readonly RangeFailure[]>,
      apply: (queue: GroupQueue, range: LeaseRange) => boolean,
    ) => {
      const failures = isCurrent() ? this.#apply(ranges, apply) : ranges.map((_, index) => staleRange(index))
      this.#tell(() => answer(failures))
    }
    return {
      credit: (messageCount, byteCount) => {
        if (!isCurrent()) return
        member.creditMessageCount += messageCount
        member.creditByteCount += byteCount
        this.#deps.wake(this)
      },
      writable: () => this.#deps.wake(this),
      ack: (ranges, answer) => {
        const before = this.#deps.counters.ackedMessages
        settle(ranges, answer, (queue, { leaseId, offset, count }) => queue.ack(leaseId, offset, count))
        this.#acked.add(this.#deps.counters.ackedMessages - before, this.#deps.clock.monotonic())
      },
      retry: (ranges, how, delayMs, answer) => {
        const refusal = how === 'after' ? delayRefusal(delayMs) : undefined
        if (refusal !== undefined) return turn.after(() => answer(refusal))
        settle(ranges, answer, (queue, { leaseId, offset, count }) => {
          const waitMs = how === 'schedule' ? undefined : how === 'after' ? delayMs : 0
          const settled = queue.giveBack(leaseId, offset, count, waitMs, how !== 'release')
          if (how !== 'release') this.#deps.counters.retriedMessages += settled
          return settled > 0
        })
      },
      extend: (ranges, leaseMs, answer) => {
        const refusal = leaseRefusal(leaseMs, this.#deps.limits)
        if (refusal !== undefined) return turn.after(() => answer(refusal))
        settle(ranges, answer, (queue, { leaseId, offset, count }) => queue.extend(leaseId, offset, count, leaseMs))
      },
      receive: (request, answer) => {
        if (isCurrent()) this.#receive(member, request, answer)
        else turn.after(() => answer(new PocketError('SUBSCRIPTION_NOT_FOUND', 'the member is on another connection')))
      },
      positions: () => {},
      leave: (answer) => {
        if (isCurrent()) {
          member.sink = undefined
          this.#endReceive(member, 0)
          this.#remove(member, false)
        }
        turn.after(() => answer(undefined))
      },
      detach: () => {
        if (!isCurrent()) return
        member.sink = undefined
        this.#detachReceive(member)
        this.#startGrace(member)
      },
    }
  }

  #apply(ranges: readonly LeaseRange[], apply: (queue: GroupQueue, range: LeaseRange) => boolean): RangeFailure[] {
    const failures: RangeFailure[] = []
    for (let index = 0; index < ranges.length; index++) {
      const range = ranges[index] as LeaseRange
      const queue = this.queues[range.queueId]
      if (queue === undefined || !apply(queue, range)) failures.push(staleRange(index))
    }
    return failures
  }

  // ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────

  #receive(member: Member, request: ReceiveRequest, answer: Answer<number>): void {
    const { limits, timers, turn } = this.#deps
    if (member.receive !== undefined) {
      turn.after(() => answer(new PocketError('BAD_ARGUMENT', 'a receive of this subscription is already waiting')))
      return
    }
    const refusal = receiveRefusal(request, limits)
    if (refusal !== undefined) return turn.after(() => answer(refusal))
    if (request.attemptId !== 0 && request.attemptId === member.lastAttemptId && this.#repeat(member, answer)) return
    member.lastAttemptId = request.attemptId
    const waitMs = Math.min(request.waitMs, limits.waitMsMax)
    member.lastReceived = []
    const wait = timers.at(this.#deps.clock.monotonic() + waitMs, () => {
      // Not ended here: while a commit is in flight nothing is handed out, and a short wait would never find anything.
      receive.isDue = true
      this.#deps.wake(this)
    })
    const receive = { request, answer, wait, isDue: false, isLast: false, messageCount: 0, byteCount: 0 }
    member.receive = receive
    this.#deps.wake(this)
  }

  /** Delivers what an earlier try of the same receive was given; false where nothing of it is held any more. */
  #repeat(member: Member, answer: Answer<number>): boolean {
    const { sink } = member
    const held = member.lastReceived.filter(({ queue, leaseId }) => queue.isLeased(leaseId))
    let waitingFor = held.length
    let messageCount = 0
    for (const { queue, leaseId } of held) {
      queue.redeliver(leaseId, (delivery) => {
        if (delivery !== undefined && member.sink === sink) {
          this.#send(member, delivery)
          messageCount += delivery.messageCount
        }
        if (--waitingFor === 0) this.#tell(() => answer(messageCount))
      })
    }
    return held.length > 0
  }

  /** Answers a receive that waits, if there is one: with the number of messages before, or with why there are none. */
  #endReceive(member: Member, outcome: number | PocketError): void {
    const { receive } = member
    if (receive === undefined) return
    member.receive = undefined
    this.#deps.timers.cancel(receive.wait)
    this.#tell(() => receive.answer(outcome))
  }

  /** A receive whose connection is gone is answered to nobody. */
  #detachReceive(member: Member): void {
    this.#deps.timers.cancel(member.receive?.wait)
    member.receive = undefined
  }

  // ── sharing ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Hands out what there is to those who asked for it. */
  dispatch(): void {
    const before = this.messagesOut
    if (this.#share()) this.#endReceives()
    if (this.messagesOut > before) this.#delivered.add(this.messagesOut - before, this.#deps.clock.monotonic())
  }

  /** Gives members what they want of what there is. False where there is more: it goes on in another turn. */
  #share(): boolean {
    const config = this.#deps.config()
    if (config.isPaused) return true
    const wanting: Member[] = []
    for (const member of this.#members.values()) {
      if (!wantsMessages(member, config)) continue
      member.turnByteCount = 0
      wanting.push(member)
    }
    if (wanting.length === 0) return true
    const room = config.inFlightMax === 0 ? Infinity : config.inFlightMax - this.inFlightCount
    const round: Round = { wanting, shares: this.#sharesOf(wanting.length, room), config, room, left: deliveriesPerTurnMax }
    if (this.#deps.isPriority) this.#shareByPriority(round)
    else this.#shareInTurns(round)
    if (round.left >= 0) return true
    this.#deps.wake(this)
    return false
  }

  /** By queue: what each of so many members gets at most at once, so that there is some for all. */
  #sharesOf(memberCount: number, room: number): number[] {
    const ofRoom = Math.ceil(room / memberCount)
    return this.queues.map(({ log, cursor }) => {
      if (memberCount === 1) return Infinity
      return Math.min(ofRoom, Math.max(sharedTakeMin, Math.ceil((log.maxOffset - cursor) / memberCount)))
    })
  }

  /** Queue by queue, one delivery each, until nothing is left: no queue starves another, nor a member. */
  #shareInTurns(round: Round): void {
    const queueCount = this.queues.length
    const firstQueue = this.#queueTurn++ % queueCount
    const drained = new Set<number>()
    while (drained.size < queueCount) {
      for (let step = 0; step < queueCount; step++) {
        const queueId = (firstQueue + step) % queueCount
        if (drained.has(queueId)) continue
        if (isDone(round)) return
        const kind = this.#serve(queueId, round)
        if (kind === 'nothing' || kind === 'later') drained.add(queueId)
      }
    }
  }

  /** All of the highest queue, then of the next. One that waits for the store holds up those below. */
  #shareByPriority(round: Round): void {
    for (let queueId = this.queues.length - 1; queueId >= 0 && !isDone(round);) {
      const kind = this.#serve(queueId, round)
      if (kind === 'later') return
      if (kind === 'nothing') queueId--
    }
  }

  /** One delivery of a queue to the member whose turn it is. */
  #serve(queueId: number, round: Round): Taken['kind'] {
    const { wanting } = round
    const queue = this.queues[queueId] as GroupQueue
    const turn = this.#memberTurn++ % wanting.length
    const member = wanting[turn] as Member
    const taken = this.#takeFor(member, queue, this.#countMax(member, round.shares[queueId] as number, round))
    if (taken.kind === 'gap') this.#announceGap(queue, taken)
    else if (taken.kind === 'delivery') {
      round.left--
      round.room -= taken.delivery.messageCount
    }
    const isServed = member.turnByteCount >= this.#deps.limits.sendBufferBytesMax
    if (isServed) this.#deps.wake(this)
    if (isServed || !wantsMessages(member, round.config)) wanting.splice(turn, 1)
    return taken.kind
  }

  /** Most messages that a member may get at once. */
  #countMax(member: Member, share: number, { config, room }: Round): number {
    const countMax = Math.min(share, room)
    const { inFlightPerMemberMax } = config
    return inFlightPerMemberMax === 0 ? countMax : Math.min(countMax, inFlightPerMemberMax - member.inFlightCount)
  }

  /** Answers the receives that were given something, or whose time is over. */
  #endReceives(): void {
    for (const member of this.#members.values()) {
      const { receive } = member
      if (receive === undefined) continue
      if (receive.messageCount > 0) this.#endReceive(member, receive.messageCount)
      else if (receive.isDue) this.#endDue(member, receive)
    }
  }

  /** Nothing was found for a receive whose time is over. */
  #endDue(member: Member, receive: PendingReceive): void {
    if (receive.isLast || !this.queues.some((queue) => queue.isReading)) this.#endReceive(member, 0)
    else receive.isLast = true
  }

  #takeFor(member: Member, queue: GroupQueue, shareMax: number): Taken {
    const { receive } = member
    const wanted = receive === undefined ? member.creditMessageCount : receive.request.messageCountMax - receive.messageCount
    const taken = queue.take({
      messageCountMax: Math.min(wanted, shareMax),
      byteCountMax: receive === undefined ? member.creditByteCount : this.#receiveBytesMax - receive.byteCount,
      leaseMs: receive?.request.leaseMs || member.leaseMs,
      holder: member,
    }, this.#filter)
    if (taken.kind !== 'delivery') return taken
    this.#send(member, taken.delivery)
    if (receive === undefined) {
      member.creditMessageCount -= taken.delivery.messageCount
      member.creditByteCount -= taken.delivery.record.length
      member.turnByteCount += taken.delivery.record.length
    } else {
      member.lastReceived.push({ queue, leaseId: taken.delivery.leaseId })
      receive.messageCount += taken.delivery.messageCount
      receive.byteCount += taken.delivery.record.length
      const isFull = receive.messageCount >= receive.request.messageCountMax || receive.byteCount >= this.#receiveBytesMax
      if (isFull) this.#endReceive(member, receive.messageCount)
    }
    return taken
  }

  /** About what the answers of one receive may hold. */
  get #receiveBytesMax(): number {
    return this.#deps.limits.frameBytesMax / 4
  }

  #send(member: Member, delivery: Delivery): void {
    const sink = member.sink as MemberSink
    this.#tell(() => sink.deliver(delivery))
    const { counters } = this.#deps
    this.messagesOut += delivery.messageCount
    this.bytesOut += delivery.record.length
    counters.messagesOut += delivery.messageCount
    counters.bytesOut += delivery.record.length
    if (delivery.attempt > 1) counters.redeliveredMessages += delivery.messageCount
  }

  #announceGap(queue: GroupQueue, gap: Extract<Taken, { kind: 'gap' }>): void {
    this.#deps.counters.gaps++
    for (const { sink } of this.#members.values()) {
      if (sink !== undefined) this.#tell(() => sink.gap(queue.log.queueId, gap.expected, gap.next))
    }
  }

  /** Tells, after this turn's commit, what happened to messages: as durable as they are. */
  #tell(effect: () => void): void {
    this.#deps.turn.after(effect, this.#deps.isRelaxed())
  }
}

/** Whether nothing more is to be handed out in this turn. */
function isDone({ left, room, wanting }: Round): boolean {
  return wanting.length === 0 || room <= 0 || left < 0
}

function wantsMessages(member: Member, { inFlightPerMemberMax }: GroupConfig): boolean {
  if (member.sink === undefined) return false
  if (inFlightPerMemberMax > 0 && member.inFlightCount >= inFlightPerMemberMax) return false
  if (member.receive !== undefined) return true
  return member.creditMessageCount > 0 && member.creditByteCount > 0 && member.sink.isWritable
}

function describeFilter({ kind, expression }: MessageFilter): string {
  return kind === 'TAG' ? `'${expression}'` : `${kind} '${expression}'`
}

// What a client may not ask for: beyond these bounds a deadline would not be a number that can be stored.

function receiveRefusal({ messageCountMax, leaseMs }: ReceiveRequest, limits: Limits): PocketError | undefined {
  if (messageCountMax < 1) return new PocketError('BAD_ARGUMENT', 'a receive of no messages')
  return leaseMs === 0 ? undefined : leaseRefusal(leaseMs, limits)
}

function leaseRefusal(leaseMs: number, { leaseMsMin, leaseMsMax }: Limits): PocketError | undefined {
  if (leaseMs >= leaseMsMin && leaseMs <= leaseMsMax) return undefined
  return new PocketError('BAD_ARGUMENT', `a lease of ${leaseMs} ms; ${leaseMsMin} to ${leaseMsMax} are allowed`)
}

function delayRefusal(delayMs: number): PocketError | undefined {
  if (delayMs <= fixedLimits.retryDelayMsMax) return undefined
  return new PocketError('BAD_ARGUMENT', `a retry after ${delayMs} ms; at most ${fixedLimits.retryDelayMsMax} are allowed`)
}

function staleRange(index: number): RangeFailure {
  return { index, error: new PocketError('RECEIPT_STALE', 'the lease has ended') }
}

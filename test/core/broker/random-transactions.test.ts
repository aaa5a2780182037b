// Transactions from a seed: producers prepare, commit, roll back, fall silent and are asked; requests are repeated until
// they are answered; time passes, the wall clock jumps; the broker dies in the middle of commits that are kept or lost.
// Then it heals, and what was answered is held against what consumers find. A failing seed is printed in the message.

import { describe, expect, it } from 'vitest'
import type { TransactionCheck, TransactionEnded } from '../../../core/broker/door.ts'
import { bytesToText } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import type { StoredMessage } from '../../../core/model/message.ts'
import { unresolvedTopic } from '../../../core/model/names.ts'
import type { CommitOutcome, StoreWrite } from '../../../core/ports/store.ts'
import type { TransactionOutcome } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { createSimRandom, type SimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, type OutMessage } from './broker-world.ts'
import { endNow, messagesOf, prepareNow } from './transaction-world.ts'

const seedCount = Number(process.env.RANDOM_TRANSACTIONS_SEEDS ?? 40)
const stepCount = 150
const topics = ['one', 'two', 'three']
const secondMs = 1_000

/** A transaction as its producer sees it. */
interface Plan {
  readonly id: number
  readonly group: string
  readonly parts: readonly { readonly topic: string; readonly base: number; readonly messages: readonly OutMessage[] }[]
  readonly messageCount: number
  /** What its producer will say; `nothing`: it dies before. */
  readonly decision: TransactionOutcome | 'nothing'
  /** Parts whose PREPARE was answered. */
  preparedCount: number
  isDecided: boolean
  /** Checks that came to a producer. */
  checkCount: number
  readonly answers: (TransactionEnded | PocketError)[]
}

/** A commit that may die on its way. */
interface InFlight {
  readonly writes: readonly StoreWrite[]
  readonly answer: (outcome: CommitOutcome) => void
}

class Work {
  readonly #world: BrokerWorld
  readonly #random: SimRandom
  readonly plans: Plan[] = []
  /** Requests without an answer: to be sent again by whoever sent them. */
  readonly #open = new Set<() => void>()
  readonly problems: string[] = []
  restarts = 0
  lostCommits = 0
  checks = 0
  jumps = 0
  refused = 0
  #inFlight: InFlight | undefined
  readonly #commit: BrokerWorld['store']['commit']

  constructor(world: BrokerWorld, random: SimRandom) {
    this.#world = world
    this.#random = random
    this.#commit = world.store.commit.bind(world.store)
    // Some turns later, so that a crash can come before.
    world.store.commit = (writes, answer) => {
      const flight = { writes, answer }
      this.#inFlight = flight
      world.clock.defer(() => world.clock.defer(() => {
        if (this.#inFlight !== flight) return
        this.#inFlight = undefined
        this.#commit(writes, answer)
      }))
    }
  }

  async step(): Promise<void> {
    const dice = this.#random.next()
    if (dice < 0.55) this.#act()
    else if (dice < 0.60) this.#repeat()
    else if (dice < 0.65) this.#meddle()
    else if (dice < 0.72) this.#register()
    else if (dice < 0.76) this.#jump()
    else if (dice < 0.86) await this.#world.advance(this.#below(15 * secondMs))
    else if (dice < 0.94) await this.#world.settle()
    else await this.#crash()
    if (this.#random.next() < 0.5) for (let turns = this.#below(4); turns > 0; turns--) this.#world.clock.runTurn()
  }

  /** No more faults: everybody repeats what was not answered, producers answer checks, the rest is given up in time. */
  async heal(): Promise<void> {
    await this.#restart()
    for (let round = 0; round < 200; round++) {
      await this.#world.advance(10 * secondMs)
      const isOver = this.plans.every(
        (plan) => plan.decision === 'nothing' || plan.preparedCount < plan.parts.length || plan.isDecided,
      )
      if (this.#open.size === 0 && isOver && this.#world.broker.stats().openTransactionCount === 0) {
        // What is delayed comes too.
        return this.#world.advance(10 * secondMs)
      }
      for (const plan of this.plans) this.#goOn(plan)
    }
    throw new Error(`stuck: ${this.#open.size} requests, ${this.#world.broker.stats().openTransactionCount} transactions`)
  }

  // ── producers ─────────────────────────────────────────────────────────────────────────────────────────────────

  #act(): void {
    const running = this.plans.filter((plan) => !plan.isDecided)
    const plan = running.length < 8 && this.#random.next() < 0.4 ? this.#begin() : running[this.#below(running.length)]
    if (plan !== undefined) this.#goOn(plan)
  }

  #begin(): Plan {
    const id = this.plans.length + 1
    let base = 0
    const parts = Array.from({ length: 1 + this.#below(4) }, (_, part) => {
      const messages = Array.from({ length: 1 + this.#below(4) }, (_unused, index): OutMessage => ({
        body: `${id}/${base + index}/${'x'.repeat(this.#random.next() < 0.2 ? 2_000 : this.#below(20))}`,
        ...(this.#random.next() < 0.1 ? { delayMs: 1 + this.#below(5 * secondMs) } : {}),
      }))
      base += messages.length
      return { topic: topics[(id + part * this.#below(3)) % topics.length] as string, base: base - messages.length, messages }
    })
    const dice = this.#random.next()
    const plan: Plan = {
      id,
      group: `pg${id % 2}`,
      parts,
      messageCount: base,
      decision: dice < 0.6 ? 'commit' : dice < 0.8 ? 'rollback' : 'nothing',
      preparedCount: 0,
      isDecided: false,
      checkCount: 0,
      answers: [],
    }
    this.plans.push(plan)
    return plan
  }

  /** The next thing its producer does; sometimes all at once. */
  #goOn(plan: Plan): void {
    if (plan.preparedCount < plan.parts.length) {
      const last = this.#random.next() < 0.5 ? plan.parts.length : plan.preparedCount + 1
      for (let index = plan.preparedCount; index < last; index++) this.#prepare(plan, index)
      return
    }
    if (plan.decision === 'nothing') return
    plan.isDecided = true
    // Many die before they say it: then a check finds it out.
    if (this.#random.next() < 0.7) this.#end(plan, plan.decision)
  }

  #prepare(plan: Plan, index: number): void {
    const { topic, base, messages } = plan.parts[index] as Plan['parts'][number]
    this.#request((done) => prepareNow(this.#world, plan.id, messages, { topic, base, group: plan.group }, (outcome) => {
      done()
      if (!(outcome instanceof PocketError)) plan.preparedCount = Math.max(plan.preparedCount, index + 1)
      // It took too long: it is over.
      else if (outcome.code === 'TRANSACTION_FINISHED') plan.preparedCount = plan.parts.length
      else this.problems.push(`PREPARE of ${plan.id} part ${index}: ${outcome.code}`)
    }))
  }

  #end(plan: Plan, outcome: TransactionOutcome): void {
    this.#request((done) => endNow(this.#world, plan.id, outcome, { count: plan.messageCount, group: plan.group }, (answer) => {
      done()
      plan.answers.push(answer)
    }))
  }

  /** Sends a request now, and again after every restart until it is answered. */
  #request(send: (done: () => void) => void): void {
    const again = () => send(() => this.#open.delete(again))
    this.#open.add(again)
    again()
  }

  /** What was answered is sent again. */
  #repeat(): void {
    const plan = this.plans[this.#below(this.plans.length)]
    if (plan === undefined) return
    if (plan.preparedCount > 0 && this.#random.next() < 0.5) this.#prepare(plan, this.#below(plan.preparedCount))
    else if (plan.isDecided && plan.decision !== 'nothing') this.#end(plan, plan.decision)
  }

  /** What nobody may do. */
  #meddle(): void {
    const plan = this.plans[this.#below(this.plans.length)]
    if (plan === undefined) return
    const { id, group, messageCount } = plan
    const refuse = (outcome: unknown) => {
      if (outcome instanceof PocketError) this.refused++
      else this.problems.push(`${id} let somebody meddle`)
    }
    if (this.#random.next() < 0.5) endNow(this.#world, id, 'commit', { count: messageCount, group: 'thief' }, refuse)
    else if (plan.preparedCount < plan.parts.length) endNow(this.#world, id, 'commit', { count: messageCount + 1, group }, refuse)
    else prepareNow(this.#world, id, [{ body: 'slipped in' }], { topic: 'one', base: messageCount + 1, group }, refuse)
  }

  // ── checks ────────────────────────────────────────────────────────────────────────────────────────────────────

  #register(): void {
    let room = this.#below(10)
    const registration = this.#world.broker.registerProducer(`pg${this.#below(2)}`, {
      check: (check) => {
        if (room-- <= 0) return false
        this.#answer(check)
        return true
      },
    })
    if (this.#random.next() < 0.3) this.#world.clock.setTimer(this.#below(20 * secondMs), () => registration.cancel())
  }

  #answer({ transactionId, producerGroup, checkCount, messages }: TransactionCheck): void {
    this.checks++
    const id = new DataView(transactionId.buffer, transactionId.byteOffset).getUint32(4)
    const plan = this.plans[id - 1] as Plan
    plan.checkCount++
    const bodies = messages.flatMap(({ topic, record }) => {
      const batch = RecordBatch.open(record)
      return Array.from({ length: batch.messageCount }, (_, index) => `${topic} ${bodyOf(batch.messageAt(index, topic, 0))}`)
    })
    const expected = plan.parts.flatMap(({ topic, messages: sent }) => sent.map(({ body }) => `${topic} ${body}`))
    if (bodies.some((body, index) => body !== expected[index])) this.problems.push(`check of ${id} with other messages`)
    if (producerGroup !== plan.group) this.problems.push(`check of ${id} to another group`)
    if (checkCount > 3) this.problems.push(`check ${checkCount} of ${id}`)
    if (plan.isDecided && plan.decision !== 'nothing' && this.#random.next() < 0.7) this.#end(plan, plan.decision)
  }

  // ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────

  #jump(): void {
    this.jumps++
    this.#world.clock.jumpWall(this.#below(60 * secondMs) - 30 * secondMs)
  }

  /** The commit in flight is kept or lost; nobody is told. */
  async #crash(): Promise<void> {
    this.#world.broker.close()
    const flight = this.#inFlight
    this.#inFlight = undefined
    if (flight !== undefined) {
      if (this.#random.next() < 0.5) this.lostCommits++
      else this.#commit(flight.writes, () => {})
      await this.#world.settle()
    }
    await this.#restart()
  }

  async #restart(): Promise<void> {
    this.restarts++
    this.#inFlight = undefined
    await this.#world.reopen()
    // Connections are new: producers come back, requests are repeated in the order they were made.
    for (let count = this.#below(3); count > 0; count--) this.#register()
    for (const send of [...this.#open]) send()
  }

  #below(count: number): number {
    return Math.floor(this.#random.next() * count)
  }
}

function bodyOf({ body }: StoredMessage): string {
  return bytesToText(body)
}

function idOf(sequence: number, { id }: Plan): string {
  return `${id.toString(16).padStart(16, '0')}-0-${sequence}`
}

async function run(seed: number): Promise<{ work: Work; world: BrokerWorld }> {
  const world = await BrokerWorld.open({
    limits: {
      queueCountDefault: 2, transactionCheckFirstMs: 3 * secondMs, transactionCheckMs: 5 * secondMs, transactionCheckCountMax: 3,
      transactionMsMax: 600 * secondMs, transactionCacheBytesMax: 6_000, transactionRetentionMs: 365 * 86_400 * secondMs,
    },
  })
  const work = new Work(world, createSimRandom(seed))
  for (let step = 0; step < stepCount; step++) await work.step()
  await work.heal()
  return { work, world }
}

/** Holds every transaction against what consumers find. */
function check(
  at: string, work: Work, found: ReadonlyMap<string, readonly StoredMessage[]>, unresolved: readonly StoredMessage[],
) {
  const outcomes = { commit: 0, rollback: 0, unresolved: 0 }
  for (const plan of work.plans) {
    const what = `${at}: transaction ${plan.id}`
    const expected = plan.parts.flatMap(({ topic, messages, base }) =>
      messages.map(({ body }, index) => ({ topic, body, messageId: idOf(base + index, plan) })))
    const seen = expected.map(({ messageId }) => found.get(messageId) ?? [])
    const isVisible = seen.some((messages) => messages.length > 0)
    const given = unresolved.filter(({ properties }) => properties?.get('TRANS_ID') === idOf(0, plan).slice(0, 16))
    // One whose count was lost with a crash is made again.
    expect(plan.checkCount, `${what}: checks`).toBeLessThanOrEqual(3 + work.restarts)
    const committed = plan.answers.filter((answer) => !(answer instanceof PocketError)) as TransactionEnded[]
    const refusals = plan.answers.filter((answer) => answer instanceof PocketError).map(({ code }) => code)
    if (isVisible) {
      outcomes.commit++
      expect(seen.map((messages) => messages.map(({ topic, body }) => `${topic} ${bytesToText(body)}`)), `${what}: messages`)
        .toEqual(expected.map(({ topic, body }) => [`${topic} ${body}`]))
      expect(given, `${what}: unresolved too`).toEqual([])
      expect(plan.decision, `${what}: nobody committed it`).toBe('commit')
      expect(refusals, `${what}: refusals`).toEqual([])
    } else if (given.length > 0) {
      outcomes.unresolved++
      // All that came, once each, in order; who falls silent may have sent a part of it.
      expect(given.map(bodyOf), `${what}: unresolved`).toEqual(expected.slice(0, given.length).map(({ body }) => body))
      expect(new Set(refusals).size, `${what}: refusals`).toBeLessThanOrEqual(1)
      expect(refusals.every((code) => code === 'TRANSACTION_FINISHED'), `${what}: ${String(refusals)}`).toBe(true)
      expect(committed.every(({ outcome }) => outcome === 'rollback'), `${what}: committed and gone`).toBe(true)
    } else {
      outcomes.rollback++
      expect(committed.every(({ outcome }) => outcome === 'rollback'), `${what}: committed and gone`).toBe(true)
      // What was never prepared is over too.
      if (plan.preparedCount === plan.parts.length) expect(plan.decision, `${what}: lost`).toBe('rollback')
    }
    for (const { outcome, segments, scheduled, duplicate } of committed) {
      expect(outcome, `${what}: outcome`).toBe(plan.decision)
      if (outcome === 'rollback') continue
      const places = segments.flatMap(({ topic, queueId, epoch, offset, count }) =>
        Array.from({ length: count }, (_, index) => (epoch === 0 ? undefined : `${topic}/${queueId}/${offset + index}`)))
      const real = seen.map(([message], index) =>
        places[index] === undefined ? undefined : `${message?.topic}/${message?.queueId}/${message?.offset}`)
      expect(places, `${what}: places, duplicate ${duplicate}`).toEqual(real)
      expect(scheduled, `${what}: scheduled`).toHaveLength(places.filter((place) => place === undefined).length)
    }
  }
  return outcomes
}

describe('random transactions', () => {
  it('end once, whole, as their producers were told, through crashes in the middle of commits', async () => {
    const firstSeed = Number(process.env.RANDOM_TRANSACTIONS_SEED ?? 1)
    const sums = { commit: 0, rollback: 0, unresolved: 0, restarts: 0, lostCommits: 0, checks: 0, refused: 0, duplicates: 0 }
    for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
      const at = `RANDOM_TRANSACTIONS_SEED=${seed}`
      let outcome: Awaited<ReturnType<typeof run>>
      try {
        outcome = await run(seed)
      } catch (error) {
        throw new Error(`${at}: ${String(error)}`, { cause: error })
      }
      const { work, world } = outcome
      expect(work.problems, at).toEqual([])
      const found = new Map<string, StoredMessage[]>()
      for (const topic of topics) {
        for (const message of await messagesOf(world, topic)) {
          found.set(message.messageId, [...(found.get(message.messageId) ?? []), message])
        }
      }
      const unresolved = await messagesOf(world, unresolvedTopic)
      const outcomes = check(at, work, found, unresolved)
      const sent = work.plans.reduce((sum, { messageCount }) => sum + messageCount, 0)
      expect(found.size, `${at}: messages of nobody`).toBeLessThanOrEqual(sent)
      expect([...found.keys()].filter((id) => !id.includes('-0-')), `${at}: messages of nobody`).toEqual([])
      for (const kind of [keyKinds.transactionPart, keyKinds.halfMessages]) {
        expect(await world.entries(kind), `${at}: left behind`).toEqual([])
      }
      expect(world.failures, at).toEqual([])
      for (const key of ['commit', 'rollback', 'unresolved'] as const) sums[key] += outcomes[key]
      for (const key of ['restarts', 'lostCommits', 'checks', 'refused'] as const) sums[key] += work[key]
      sums.duplicates += work.plans.flatMap(({ answers }) => answers)
        .filter((answer) => !(answer instanceof PocketError) && answer.duplicate).length
    }
    for (const [what, count] of Object.entries(sums)) expect(count, `${what} have happened`).toBeGreaterThan(seedCount / 2)
  }, 120_000)
})

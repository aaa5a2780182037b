// What a world consists of: topics, groups, and which client does what; drawn once per seed. Each seed takes some of the
// groups and readers only: so runs stay short, and rare combinations come up.

import { defaultLimits, type Limits } from '../../core/limits.ts'
import type { SimRandom } from './sim-random.ts'

export type TopicName = 'plain' | 'steps' | 'brief'

export interface TopicPlan {
  readonly topic: TopicName
  readonly queueCount: number
  readonly messageType: 'NORMAL' | 'FIFO'
  /** 0: for ever. */
  readonly retentionMs: number
  /** 0: no bound. */
  readonly retentionBytes: number
}

/** How a group's members work. */
export interface GroupRole {
  readonly group: string
  readonly topic: TopicName
  readonly how: 'iterate' | 'run' | 'ask'
  readonly filter: '*' | 'a || b'
  /** Says its filter as an expression, which the relay decides by other code. */
  readonly isSql: boolean
  readonly attemptCountMax: number
  readonly retryScheduleMs: readonly number[]
  /** Its handlers fail at some messages however often they come. */
  readonly isFussy: boolean
  /** An operator moves it now and then. */
  readonly isMoved: boolean
}

/** Who reads for itself: a BROADCASTING member, or pulls of one queue. */
export interface ReaderRole {
  readonly how: 'broadcast' | 'pull'
  readonly topic: TopicName
  /** Of a pull. */
  readonly queueId: number
}

/** What one client does; taken up again by whoever takes its place after its death. */
export interface Role {
  readonly name: string
  readonly sends: readonly TopicName[]
  readonly groups: readonly GroupRole[]
  readonly readers: readonly ReaderRole[]
  /** Whether it sends some messages to be delivered later, and takes some of those back. */
  readonly delays: boolean
  /** Topics it sends to in transactions. */
  readonly transacts: readonly TopicName[]
  /** Topics it keeps a copy of. */
  readonly follows: readonly TopicName[]
}

export interface WorldPlan {
  readonly topics: readonly TopicPlan[]
  readonly groups: readonly GroupRole[]
  readonly roles: readonly Role[]
  readonly limits: Limits
  readonly latencyMs: readonly [least: number, most: number]
  readonly commitLatencyMs: readonly [least: number, most: number]
  /** How long there is work before everything heals. */
  readonly workMs: number
  /** Whether somebody moves groups and looks messages up. */
  readonly hasOperator: boolean
  /** Whether there is a producer that goes on after another has taken its place. */
  readonly hasZombie: boolean
  /** Whether messages are sent to be delivered later. */
  readonly hasDelays: boolean
  readonly hasTransactions: boolean
}

const usual = {
  how: 'iterate', filter: '*', isSql: false, attemptCountMax: 1_000, retryScheduleMs: [200, 1_000], isFussy: false,
  isMoved: false,
} as const
const fewAttempts = { attemptCountMax: 3, retryScheduleMs: [20, 150], isFussy: true } as const

const groupRoles: readonly GroupRole[] = [
  { ...usual, group: 'till', topic: 'plain' },
  { ...usual, group: 'line', topic: 'steps' },
  { ...usual, group: 'picky', topic: 'plain', filter: 'a || b' },
  { ...usual, group: 'asker', topic: 'steps', how: 'ask' },
  { ...usual, group: 'runner', topic: 'plain', how: 'run' },
  { ...usual, group: 'grave', topic: 'plain', ...fewAttempts },
  { ...usual, group: 'vault', topic: 'steps', how: 'ask', ...fewAttempts },
  { ...usual, group: 'moved', topic: 'plain', isMoved: true },
  { ...usual, group: 'skim', topic: 'brief' },
]
const groupChance = 0.28
const groupCountMin = 2

/** The plan of a seed. */
export function drawPlan(random: SimRandom): WorldPlan {
  const more = random.fork('more')
  const isSql = more.chance(0.5)
  const chosen = groupRoles.filter(() => random.chance(groupChance))
  while (chosen.length < groupCountMin) {
    const another = random.pick(groupRoles)
    if (!chosen.includes(another)) chosen.push(another)
  }
  const topics = drawTopics(random)
  const readers = drawReaders(random, topics)
  const used = new Set([...chosen, ...readers].map(({ topic }) => topic))
  const usedTopics = topics.filter(({ topic }) => used.has(topic))
  const groups = chosen.map((role) => ({ ...role, isSql: isSql && role.filter !== '*' }))
  const hasDelays = more.chance(0.5)
  const hasTransactions = more.chance(0.5)
  const hasFollower = more.chance(0.4)
  const names = usedTopics.map(({ topic }) => topic)
  return {
    topics: usedTopics,
    groups,
    roles: drawRoles(random, usedTopics, groups, readers).map((role, index) => ({
      ...role,
      delays: hasDelays,
      transacts: hasTransactions && (index === 0 || more.chance(0.4)) ? names : [],
      follows: hasFollower && index === 1 ? names : [],
    })),
    limits: { ...drawLimits(random), transactionCheckCountMax: more.pick([5, 15]) },
    latencyMs: [0.1, random.pick([2, 40])],
    commitLatencyMs: [0.2, random.pick([2, 20])],
    workMs: drawWorkMs(random),
    hasOperator: chosen.some(({ isMoved }) => isMoved) || random.chance(0.3),
    hasZombie: random.chance(0.3) && used.has('plain'),
    hasDelays,
    hasTransactions,
  }
}

function drawTopics(random: SimRandom): TopicPlan[] {
  const isByTime = random.chance(0.5)
  const keep = { retentionMs: 0, retentionBytes: 0 }
  const brief = isByTime
    ? { retentionMs: Math.floor(random.between(500, 4_000)), retentionBytes: 0 }
    : { retentionMs: 0, retentionBytes: Math.floor(random.between(2_000, 20_000)) }
  return [
    { topic: 'plain', queueCount: 1 + random.below(4), messageType: 'NORMAL', ...keep },
    { topic: 'steps', queueCount: 1 + random.below(3), messageType: 'FIFO', ...keep },
    { topic: 'brief', queueCount: 1 + random.below(2), messageType: 'NORMAL', ...brief },
  ]
}

function drawReaders(random: SimRandom, topics: readonly TopicPlan[]): ReaderRole[] {
  const readers: ReaderRole[] = []
  if (random.chance(0.5)) readers.push({ how: 'broadcast', topic: 'steps', queueId: 0 })
  if (random.chance(0.25)) readers.push({ how: 'broadcast', topic: 'brief', queueId: 0 })
  if (random.chance(0.3)) {
    const { topic, queueCount } = random.pick(topics)
    readers.push({ how: 'pull', topic, queueId: random.below(queueCount) })
  }
  return readers
}

/** The first client does everything; others do some of it. */
function drawRoles(
  random: SimRandom, topics: readonly TopicPlan[], groups: readonly GroupRole[], readers: readonly ReaderRole[],
): Omit<Role, 'delays' | 'transacts' | 'follows'>[] {
  return Array.from({ length: random.pick([2, 2, 3, 4]) }, (_, index) => {
    const isFirst = index === 0
    return {
      name: `client${index}`,
      sends: topics.map(({ topic }) => topic).filter(() => isFirst || random.chance(0.5)),
      groups: groups.filter(() => isFirst || random.chance(0.4)),
      readers: readers.filter(() => isFirst || random.chance(0.3)),
    }
  })
}

function drawLimits(random: SimRandom): Limits {
  return {
    ...defaultLimits,
    heartbeatMs: 1_000,
    memberGraceMs: random.pick([1_000, 3_000]),
    leaseMsMin: 500,
    helloTimeoutMs: 3_000,
    slowReaderMs: 2_000,
    sendBufferBytesMax: random.pick([4 * 1024, 64 * 1024]),
    recordBytesMax: random.pick([1024, 256 * 1024]),
    readChunkBytes: random.pick([2 * 1024, 1024 * 1024]),
    tailCacheBytesMax: random.pick([0, 16 * 1024, 1024 * 1024]),
    outstandingPerQueueMax: random.pick([8, 1_000]),
    publishBytesInFlightMax: random.pick([64 * 1024, 1024 * 1024]),
    storeReserveBytes: 4 * 1024,
    // Each reads a part of the log.
    retentionSweepMs: random.pick([700, 3_000]),
    transactionCheckFirstMs: 300,
    transactionCheckMs: 500,
    frameBytesMax: 2 * 1024 * 1024,
  }
}

/** Many short worlds find more than few long ones in the same time; but some faults need theirs. */
function drawWorkMs(random: SimRandom): number {
  return random.chance(0.06) ? random.between(1_500, 4_000) : random.between(300, 800)
}

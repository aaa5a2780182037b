// What a simulated device consists of: topics at home and at the relay, groups, and which tab does what; drawn once per
// seed.

import { defaultLimits, type Limits } from '../../core/limits.ts'
import type { Home } from '../../web-client/port/port-protocol.ts'
import type { SimRandom } from './sim-random.ts'

export interface DeviceTopicPlan {
  readonly topic: string
  readonly home: Home
  readonly queueCount: number
  readonly messageType: 'NORMAL' | 'FIFO'
  /** `relaxed`: a power cut may take the last of it. */
  readonly durability: 'strict' | 'relaxed'
}

/** How a group's members work. */
export interface DeviceGroupRole {
  readonly group: string
  readonly topic: DeviceTopicPlan
  readonly how: 'iterate' | 'run' | 'ask'
  readonly filter: '*' | 'a || b'
}

/** What one tab does; taken up again by the one that is opened in its place. */
export interface TabRole {
  readonly name: string
  readonly sends: readonly DeviceTopicPlan[]
  readonly groups: readonly DeviceGroupRole[]
  /** Topics that it reads whole, BROADCASTING. */
  readonly reads: readonly DeviceTopicPlan[]
}

export interface DevicePlan {
  readonly topics: readonly DeviceTopicPlan[]
  readonly groups: readonly DeviceGroupRole[]
  readonly roles: readonly TabRole[]
  /** Of the relay. */
  readonly limits: Limits
  readonly networkMs: readonly [least: number, most: number]
  readonly lineMs: readonly [least: number, most: number]
  readonly commitLatencyMs: readonly [least: number, most: number]
  /** How long there is work before everything heals. */
  readonly workMs: number
  /** Between two bursts of a producer, at most, as a rule. */
  readonly pauseMs: number
  /** Whether a tab that holds something stands still for long once everything else is well. */
  readonly hasStandstill: boolean
}

const groupChance = 0.5
const drafts: DeviceTopicPlan = {
  topic: 'drafts', home: 'device', queueCount: 1, messageType: 'NORMAL', durability: 'relaxed',
}
const scribe: DeviceGroupRole = { group: 'scribe', topic: drafts, how: 'iterate', filter: '*' }

/** The plan of a seed. */
export function drawDevicePlan(random: SimRandom): DevicePlan {
  const topics: DeviceTopicPlan[] = [
    { topic: 'notes', home: 'device', queueCount: 1 + random.below(2), messageType: 'NORMAL', durability: 'strict' },
    { topic: 'steps', home: 'device', queueCount: 1 + random.below(2), messageType: 'FIFO', durability: 'strict' },
    { topic: 'orders', home: 'relay', queueCount: 1 + random.below(3), messageType: 'NORMAL', durability: 'strict' },
    { topic: 'moves', home: 'relay', queueCount: 1 + random.below(2), messageType: 'FIFO', durability: 'strict' },
  ]
  const [notes, steps, orders, moves] = topics as [DeviceTopicPlan, DeviceTopicPlan, DeviceTopicPlan, DeviceTopicPlan]
  const roles: readonly DeviceGroupRole[] = [
    { group: 'till', topic: notes, how: 'iterate', filter: '*' },
    { group: 'line', topic: steps, how: 'iterate', filter: '*' },
    { group: 'runner', topic: notes, how: 'run', filter: '*' },
    { group: 'asker', topic: steps, how: 'ask', filter: '*' },
    { group: 'picky', topic: notes, how: 'iterate', filter: 'a || b' },
    { group: 'shop', topic: orders, how: 'iterate', filter: '*' },
    { group: 'track', topic: moves, how: 'iterate', filter: '*' },
  ]
  const groups = roles.filter(() => random.chance(groupChance))
  if (!groups.some(({ topic }) => topic.home === 'device')) groups.push(random.pick(roles.slice(0, 2)))
  const reads = topics.filter(() => random.chance(0.4))
  const limits: Limits = {
    ...defaultLimits,
    heartbeatMs: 1_000,
    memberGraceMs: random.pick([1_000, 3_000]),
    leaseMsMin: 500,
    helloTimeoutMs: 3_000,
    slowReaderMs: 2_000,
    recordBytesMax: random.pick([1024, 256 * 1024]),
    tailCacheBytesMax: random.pick([0, 1024 * 1024]),
    storeReserveBytes: 4 * 1024,
    frameBytesMax: 2 * 1024 * 1024,
  }
  const isLong = random.chance(0.2)
  const relaxed = random.fork('relaxed').chance(0.35) ? { topics: [drafts], groups: [scribe] } : { topics: [], groups: [] }
  return {
    topics: [...topics, ...relaxed.topics],
    groups: [...groups, ...relaxed.groups],
    roles: Array.from({ length: random.pick([2, 2, 3, 4]) }, (_, index) => {
      const isFirst = index === 0
      return {
        name: `tab${index}`,
        sends: [...topics.filter(() => isFirst || random.chance(0.5)), ...index < 2 ? relaxed.topics : []],
        // The second takes part in everything too: what one loses, another gets.
        groups: [...groups.filter(() => index < 2 || random.chance(0.4)), ...index < 2 ? relaxed.groups : []],
        reads: reads.filter(() => isFirst || random.chance(0.3)),
      }
    }),
    limits,
    networkMs: [0.1, random.pick([2, 40])],
    lineMs: [0.02, random.pick([0.5, 5, 30])],
    commitLatencyMs: [0.2, random.pick([2, 20])],
    workMs: isLong ? random.between(20_000, 60_000) : random.between(2_000, 8_000),
    pauseMs: isLong ? 8_000 : 1_200,
    hasStandstill: random.chance(0.15),
  }
}

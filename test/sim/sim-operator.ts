// An operator of the simulated world: moves groups while their members are at work, back and forth, and looks messages up
// by their ids, over the same bad network as everybody.

import type { Client, From } from '../../core/client/api.ts'
import { createClient } from '../../core/client/client.ts'
import { PocketError } from '../../core/errors.ts'
import { foundAt, type SharedState } from './sim-application.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import type { GroupRole, TopicPlan } from './world-plan.ts'

export interface SimOperatorDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly groups: readonly GroupRole[]
  readonly topics: readonly TopicPlan[]
  readonly isWorking: () => boolean
  /** How long that is so. */
  readonly workMs: number
  /** A message that was acknowledged, and its id; undefined before the first. */
  readonly anyAcknowledged: (random: SimRandom) => { readonly message: string; readonly messageId: string } | undefined
  readonly shared: SharedState
}

/** What may become of a change that the network or the relay's end comes in between. */
const expectedErrors: ReadonlySet<string> = new Set([
  'CONNECTION_LOST', 'CONNECTION_REFUSED', 'TIMEOUT', 'OFFSET_OUT_OF_RANGE', 'OVERLOADED', 'STORE_FULL', 'STORE_FAILED',
])

export class SimOperator {
  readonly #deps: SimOperatorDeps
  readonly #random: SimRandom
  readonly #client: Client
  readonly #process: SimProcess

  constructor(deps: SimOperatorDeps) {
    this.#deps = deps
    this.#random = deps.random.fork('operator')
    this.#process = new SimProcess(deps.clock, 'operator')
    this.#client = createClient({
      dialler: deps.network.diallerOf(this.#process),
      clock: this.#process,
      random: this.#random.fork('client'),
    }, { name: 'operator', connectTimeout: '1d', requestTimeout: '5s' })
    void this.#run()
  }

  async #run(): Promise<void> {
    const { groups, isWorking, workMs, shared } = this.#deps
    const moved = groups.filter(({ isMoved }) => isMoved)
    for (;;) {
      await new Promise<void>((resolve) => this.#process.setTimer(this.#random.between(0.07, 0.7) * workMs, resolve))
      if (!isWorking()) break
      try {
        if (moved.length > 0 && this.#random.chance(0.7)) await this.#move(this.#random.pick(moved))
        else await this.#lookUp()
      } catch (error) {
        const isExpected = error instanceof PocketError && expectedErrors.has(error.code)
        if (!isExpected) shared.bug(`the operator failed: ${String(error)}`)
      }
    }
    await this.#client.close()
  }

  async #move({ group, topic }: GroupRole): Promise<void> {
    await this.#client.admin.resetGroup(group, topic, this.#target(topic))
  }

  async #lookUp(): Promise<void> {
    const { anyAcknowledged, shared } = this.#deps
    const wanted = anyAcknowledged(this.#random)
    if (wanted === undefined) return
    const { message, messageId } = wanted
    const found = await this.#client.admin.findById(messageId)
    shared.noted({ kind: 'looked-up', message, found: found && foundAt(found) })
  }

  #target(topic: string): { to: From | { offset: number }; queueId?: number } {
    const random = this.#random
    const queueCount = this.#deps.topics.find((plan) => plan.topic === topic)?.queueCount ?? 1
    const queueId = random.below(queueCount)
    if (random.chance(0.2)) return { to: { offset: random.below(20) }, queueId }
    const to = random.pick(['earliest', 'earliest', 'latest'] as const)
    return random.chance(0.5) ? { to } : { to, queueId }
  }
}

// A BROADCASTING reader in a tab of the simulated browser: of the device's copy of a relay topic, or of a device topic. The
// device remembers where its group stands, and the tab that takes the place of a dead one goes on from there.

import type { GapEvent } from '../../core/client/api.ts'
import { text } from '../../core/client/codec.ts'
import type { Position } from '../../core/model/position.ts'
import type { TabApplication } from './device-application.ts'
import type { DeviceTopicPlan } from './device-plan.ts'
import { foundAt } from './sim-application.ts'

export class DeviceReader {
  /** As the history calls this incarnation of it. */
  readonly name: string
  readonly group: string
  readonly plan: DeviceTopicPlan
  readonly #app: TabApplication
  #positions: () => ReadonlyMap<number, Position> = () => new Map()

  /** `owner` is the name of the tab's role, which outlives the tab. */
  constructor(app: TabApplication, owner: string, plan: DeviceTopicPlan) {
    this.#app = app
    this.plan = plan
    this.group = boardOf(owner, plan)
    this.name = `${this.group}/${app.name}`
    this.#read().catch((error: unknown) => {
      if (!app.process.isDead && !app.isLeaving) app.shared.bug(`${this.name} ended: ${String(error)}`)
    })
  }

  get positions(): ReadonlyMap<number, Position> {
    return this.#positions()
  }

  /** A gap was announced at its client. */
  gap({ topic, group, queueId, expected, next }: GapEvent): void {
    if (topic !== this.plan.topic || group !== this.group) return
    this.#app.note(this.plan.home, { kind: 'gap', reader: this.name, topic, queueId, expected, next })
  }

  async #read(): Promise<void> {
    const { topic: name, home } = this.plan
    const topic = this.#app.client.topic(name, { codec: text, home })
    const reader = topic.consume({ group: this.group, mode: 'BROADCASTING', from: 'earliest', prefetch: 40 })
    this.#positions = () => reader.positions()
    for await (const message of reader) {
      const sent = this.#app.check(home, message, this.name)
      const found = foundAt(message)
      this.#app.note(home, { kind: 'delivered', message: sent, group: this.group, member: this.name, attempt: 0, found })
      if (this.#app.random.chance(0.05)) await this.#app.wait(0, 500)
    }
  }
}

/** The BROADCASTING group of a tab's role on a topic. */
export function boardOf(owner: string, { topic }: DeviceTopicPlan): string {
  return `board-${topic}-${owner}`
}

// One subscription of a connection to a group: the sink that its member is told through.

import type { Delivery, MemberSink, Membership } from '../broker/door.ts'
import type { Position } from '../model/position.ts'
import { ServerStream } from './server-stream.ts'

const noBytes = new Uint8Array(0)

export class ServerSubscription extends ServerStream<Membership> implements MemberSink {
  deliver(delivery: Delivery): void {
    this.tell(() => {
      const { subscriptionId } = this
      const { queueId, leaseId, attempt, leaseMs, next, record } = delivery
      this.host.add('DELIVER', { subscriptionId, queueId, leaseId, attempt, leaseMs, next, record: noBytes }, record)
    })
  }

  gap(queueId: number, expected: Position, next: Position): void {
    this.tell(() => this.host.add('GAP', { subscriptionId: this.subscriptionId, queueId, expected, next }))
  }

  reset(queueId: number, position: Position): void {
    this.tell(() => this.host.add('RESET', { subscriptionId: this.subscriptionId, queueId, position }))
  }

  /** Leases are kept for the member's grace time: it may return on another connection. */
  protected override abandon(membership: Membership): void {
    membership.detach()
  }
}

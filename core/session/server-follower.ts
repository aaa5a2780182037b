// One follower of a connection: the sink through which it is told of changes. It has nothing to come back to: on another
// connection it says itself where it stands.

import type { FollowerSink, Following } from '../broker/door.ts'
import type { Change } from '../protocol/frames.ts'
import { ServerStream } from './server-stream.ts'

export class ServerFollower extends ServerStream<Following> implements FollowerSink {
  changes(sequence: number, isCurrent: boolean, lag: number, changes: readonly Change[]): void {
    const { subscriptionId } = this
    this.tell(() => this.host.add('CHANGES', { subscriptionId, sequence, isCurrent, lag, changes }))
  }

  protected override abandon(following: Following): void {
    following.leave()
  }
}

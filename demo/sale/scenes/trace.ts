// The trace: what happened to a message, from the tab that made it to the tab that consumed it.

import type { Home, Timeline, WebClient } from '../../../web-client/index.ts'

// [shown beside the scene]
export async function traceOf(mq: WebClient, home: Home, messageId: string) {
  // Topics made with `trace: 1` keep it of every message, with
  // `trace: 0.01` of one in a hundred.
  const timelines = await mq.adminOf(home).trace({ messageId })
  // `born`, `sent`, `stored`, `delivered`, `acked`, … each with its
  // time, what it took, who did it, and in which attempt.
  return timelines.map((timeline: Timeline) => {
    const events = timeline.events.toSorted((a, b) => a.atMs - b.atMs)
    return { ...timeline, events }
  })
}
// [until here]

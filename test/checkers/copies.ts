// Copies: a follower that has come to the end has what the relay has, of the topics it follows: the same messages at the
// same places, the same progress of groups. And on the way it never had progress that speaks of messages it did not have.

import { placeName, type Place, type Violation } from './history.ts'

/** What there is of the topics followed. */
export interface LogState {
  readonly messages: readonly (Place & { readonly messageId: string })[]
  /** Next offset that each group has not been given, or further: all progress as it is stored, in words. */
  readonly progress: ReadonlyMap<string, string>
}

/** Where the copy differs from what was copied. */
export function findCopyFaults(original: LogState, copy: LogState): Violation[] {
  const violations: Violation[] = []
  const report = (text: string): void => {
    violations.push({ message: '', text })
  }
  const idByPlace = new Map(original.messages.map((message) => [placeName(message), message.messageId]))
  const copied = new Map<string, string>()
  for (const message of copy.messages) {
    const place = placeName(message)
    if (copied.has(place)) report(`the copy has ${place} twice`)
    copied.set(place, message.messageId)
    const id = idByPlace.get(place)
    if (id !== message.messageId) report(`the copy has ${message.messageId} at ${place}, where the relay has ${id ?? 'nothing'}`)
  }
  for (const [place, id] of idByPlace) if (!copied.has(place)) report(`the copy lacks ${id} at ${place}`)
  for (const [name, progress] of original.progress) {
    const own = copy.progress.get(name)
    if (own !== progress) report(`the copy says of ${name} ${own ?? 'nothing'}, the relay ${progress}`)
  }
  for (const name of copy.progress.keys()) if (!original.progress.has(name)) report(`the copy has progress of ${name}`)
  return violations
}

/** One change as a follower applied it: how far a queue is, or how far a group says it is in a queue. */
export interface AppliedChange {
  readonly kind: 'messages' | 'progress'
  /** Topic and queue. */
  readonly queue: string
  /** The next offset: to be written, or to be given to the group. */
  readonly next: number
}

/** Progress that came before the messages it speaks of. */
export function findHastyProgress(changes: readonly AppliedChange[]): Violation[] {
  const violations: Violation[] = []
  const ends = new Map<string, number>()
  for (const { kind, queue, next } of changes) {
    const end = ends.get(queue) ?? 0
    if (kind === 'messages') ends.set(queue, Math.max(end, next))
    else if (next > end) {
      violations.push({ message: queue, text: `progress up to ${next} of ${queue} came when messages up to ${end} were there` })
    }
  }
  return violations
}

// Dead letters: a message that failed every attempt of a group is in the group's dead letter topic, once, as it was and
// with where it came from; and nothing is there that was consumed, or that had attempts left.

import { eventsOf, type Found, type History, type MessageName, placeName, type Violation } from './history.ts'
import type { Grant } from './lease-book.ts'

/** A message of the topic `%DLQ%<group>`, as it was read at the end. */
export interface DeadLetter {
  readonly message: MessageName
  readonly offset: number
  /** Where it says that it came from. */
  readonly origin: Found
  /** How many attempts it says it had. */
  readonly attempt: number
}

export interface DeadLettersOptions {
  readonly group: string
  readonly attemptCountMax: number
  /** Where each message really was, as far as anybody saw. */
  readonly foundOf: (message: MessageName) => Found | undefined
}

/** Dead letters that are there twice, wrongly, or falsely labelled. That none is missing is for `findLost` to say. */
export function findFalseDeadLetters(
  history: History, grants: readonly Grant[], letters: readonly DeadLetter[],
  { group, attemptCountMax, foundOf }: DeadLettersOptions,
): Violation[] {
  const violations: Violation[] = []
  const consumed = new Set(eventsOf(history, 'consumed').flatMap((event) => (event.group === group ? [event.message] : [])))
  const sent = new Set(eventsOf(history, 'sent').map(({ message }) => message))
  const grantsByPlace = new Map<string, Grant[]>()
  for (const grant of grants) {
    if (grant.group !== group) continue
    const place = placeName(grant)
    grantsByPlace.set(place, [...(grantsByPlace.get(place) ?? []), grant])
  }
  const seen = new Map<MessageName, number>()
  for (const { message, offset, origin, attempt } of letters) {
    const report = (text: string): void => {
      violations.push({ message, text: `${message} among the dead letters of ${group}, at ${offset}, ${text}` })
    }
    const before = seen.get(message)
    if (before !== undefined) report(`is at ${before} too`)
    seen.set(message, offset)
    if (!sent.has(message)) report('was not sent')
    if (consumed.has(message)) report('was consumed')
    if (attempt !== attemptCountMax) report(`had ${attempt} attempts of ${attemptCountMax}`)
    const found = foundOf(message)
    const isThere = found === undefined || (placeName(found) === placeName(origin) && found.messageId === origin.messageId)
    if (!isThere) report(`says it was at ${placeName(origin)} as ${origin.messageId}, and was at ${placeName(found)}`)
    const delivered = grantsByPlace.get(placeName(origin)) ?? []
    // Each restart may have cost a delivery that nobody was told of.
    const isExhausted = delivered.some((grant) => grant.attempt + grant.reopenCountAfter >= attemptCountMax)
    if (!isExhausted) report(`was handed out ${delivered.length} times, and had attempts left`)
  }
  return violations
}

// One request to the relay and its answer, as a promise: for what is asked now and then.

import { PocketError } from '../errors.ts'
import type { ClientSession } from '../session/client-session.ts'
import type { AnswerName, CallFields, CallName, CallOutcome } from '../session/requests.ts'

/** What answers a request. */
type Answered<A extends AnswerName> = Exclude<CallOutcome<A>, PocketError>

/**
 * Rejects with what the relay says, with TIMEOUT, CLOSED, or with CONNECTION_LOST where the request may not be repeated:
 * a second time it would do something else than the first.
 */
export type CallRelay = <N extends CallName, A extends AnswerName>(
  name: N, fields: CallFields<N>, answer: A, isRepeatable?: boolean,
) => Promise<Answered<A>>

export function createCall(session: ClientSession, timeoutMs: number): CallRelay {
  return <N extends CallName, A extends AnswerName>(
    name: N, fields: CallFields<N>, answer: A, isRepeatable = true,
  ): Promise<Answered<A>> =>
    new Promise((resolve, reject) => {
      session.call({ name, fields, answer, timeoutMs, isRepeatable }, (outcome) => {
        if (outcome instanceof PocketError) reject(outcome)
        else resolve(outcome as Answered<A>)
      })
    })
}

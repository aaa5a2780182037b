// Brings replies to those who asked: from any connection of a relay to the one whose client sent the request. Nothing is
// stored and nothing waits: who is not there now, or does not take what it is sent, gets no reply.

import { PocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { MessageScanner } from '../record/message-codec.ts'

/** An open connection of a client. */
export interface ReplyTarget {
  readonly clientId: string
  /** Whose it is: the name of its principal. */
  readonly principalName: string
  /** Whether its output has room. */
  readonly hasRoom: boolean
  replied(correlationId: string, message: Uint8Array): void
}

export interface Reply {
  /** Client id of who asked. */
  readonly replyTo: string
  readonly correlationId: string
  /** One encoded message. */
  readonly message: Uint8Array
}

/** When to try again where the requester does not take what it is sent. */
const retryAfterMs = 1_000

export class ReplyRouter {
  readonly #scanner: MessageScanner
  /** Oldest first. */
  readonly #targetsByClient = new Map<string, ReplyTarget[]>()

  constructor(limits: Pick<Limits, 'bodyBytesMax'>) {
    this.#scanner = new MessageScanner(limits)
  }

  /** A client without an id gets no replies. */
  join(target: ReplyTarget): void {
    const { clientId } = target
    if (clientId === '') return
    const targets = this.#targetsByClient.get(clientId)
    if (targets === undefined) this.#targetsByClient.set(clientId, [target])
    else targets.push(target)
  }

  leave(target: ReplyTarget): void {
    const { clientId } = target
    const targets = this.#targetsByClient.get(clientId)
    const index = targets?.indexOf(target) ?? -1
    if (targets === undefined || index < 0) return
    targets.splice(index, 1)
    if (targets.length === 0) this.#targetsByClient.delete(clientId)
  }

  /**
   * Hands the reply to the newest connection of that client. Throws REQUESTER_GONE where there is none, OVERLOADED where
   * it is full, and what {@link MessageScanner} throws unless it is one whole message.
   */
  send({ replyTo, correlationId, message }: Reply): void {
    this.#check(message)
    const target = this.#targetOf(replyTo)
    if (target === undefined) throw new PocketError('REQUESTER_GONE', 'who asked is not connected to this relay any more')
    if (!target.hasRoom) {
      throw new PocketError('OVERLOADED', 'who asked does not take what it is sent just now', { retryAfterMs })
    }
    target.replied(correlationId, message)
  }

  /**
   * A client id is no secret: it stands in every request. So it belongs to whoever came first under it, and the same id
   * shown by another principal hears nothing.
   */
  #targetOf(clientId: string): ReplyTarget | undefined {
    const targets = this.#targetsByClient.get(clientId)
    const owner = targets?.[0]?.principalName
    return targets?.findLast(({ principalName }) => principalName === owner)
  }

  #check(message: Uint8Array): void {
    const scanner = this.#scanner
    scanner.reset(message, 0, message.length)
    scanner.next()
    if (!scanner.atEnd) throw new PocketError('BAD_FRAME', 'a reply is one message, and nothing behind it')
  }
}

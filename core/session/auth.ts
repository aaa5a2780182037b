// Who a client is and what it may do. The relay asks once per connection, with HELLO, and the answer is asked again
// per request. Where tokens come from and what they hold is the business of whoever provides `Authenticate`.

import { unreachable } from '../assert.ts'
import type { PocketError } from '../errors.ts'
import type { UpstreamFrame } from '../protocol/frames.ts'

/** An authenticated client. Its methods are called for every request: cheap, synchronous, never throwing. */
export interface Principal {
  /** For logs. */
  readonly name: string
  mayPublish(topic: string): boolean
  /** Subscribe, pull and query; `group` is undefined for what needs none, `topic` empty for a query over all. */
  mayConsume(topic: string, group: string | undefined): boolean
  /** Create, list, describe, configure, reset and delete; without a name it is about listing. */
  mayAdmin(what: { readonly topic?: string; readonly group?: string }): boolean
}

/** What a relay knows of a client that says HELLO. */
export interface AuthInfo {
  readonly clientId: string
  readonly clientName: string
  readonly peer: string
}

/**
 * Decides on a token (empty where the client has none) by calling `answer` once, at once or later, with a principal or
 * an error, usually UNAUTHENTICATED. An answer after the connection has ended does nothing.
 */
export type Authenticate = (token: string, info: AuthInfo, answer: (verdict: Principal | PocketError) => void) => void

/** May do everything. */
export const superuser: Principal = {
  name: 'superuser',
  mayPublish: () => true,
  mayConsume: () => true,
  mayAdmin: () => true,
}

/** Lets everybody in, whatever token they show: for a relay that only its own machine reaches, and for tests. */
export const authenticateAnybody: Authenticate = (_token, _info, answer) => answer(superuser)

/** Why a principal may not make this request, in words for it; undefined where it may. */
export function forbiddenReason(frame: UpstreamFrame, principal: Principal): string | undefined {
  const { name } = principal
  switch (frame.name) {
    case 'PUBLISH':
      return principal.mayPublish(frame.topic) ? undefined : `${name} may not publish to '${frame.topic}'`
    case 'SUBSCRIBE': {
      const { topic, group } = frame
      return principal.mayConsume(topic, group) ? undefined : `${name} may not consume '${topic}' as '${group}'`
    }
    case 'PULL':
    case 'QUERY':
      return principal.mayConsume(frame.topic, undefined) ? undefined : `${name} may not read '${frame.topic}'`
    case 'CREATE_TOPIC':
    case 'DESCRIBE_TOPIC':
    case 'DELETE_TOPIC':
      return principal.mayAdmin({ topic: frame.topic }) ? undefined : `${name} may not administer '${frame.topic}'`
    case 'CONFIGURE_GROUP':
    case 'DESCRIBE_GROUP':
      return principal.mayAdmin({ group: frame.group }) ? undefined : `${name} may not administer '${frame.group}'`
    case 'RESET_GROUP': {
      const { topic, group } = frame
      return principal.mayAdmin({ topic, group }) ? undefined : `${name} may not reset '${group}' on '${topic}'`
    }
    case 'LIST_TOPICS':
    case 'LIST_GROUPS':
      return principal.mayAdmin({}) ? undefined : `${name} may not list topics and groups`
    // What belongs to the connection itself, or to a subscription that was allowed.
    case 'HELLO':
    case 'PING':
    case 'CREDIT':
    case 'ACK':
    case 'RETRY':
    case 'EXTEND':
    case 'RECEIVE':
    case 'UNSUBSCRIBE':
      return undefined
    default:
      return unreachable(frame)
  }
}

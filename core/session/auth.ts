// Who a client is and what it may do. The relay asks once per connection, with HELLO, and the answer is asked again
// per request. Where tokens come from and what they hold is the business of whoever provides `Authenticate`.

import { unreachable } from '../assert.ts'
import type { PocketError } from '../errors.ts'
import type { FrameFields, UpstreamFrame } from '../protocol/frames.ts'

/** An authenticated client. Its methods are called for every request: cheap, synchronous, never throwing. */
export interface Principal {
  /** For logs. */
  readonly name: string
  /** Send, prepare and recall; `topic` is empty where it is asked whether there is any that it may publish to. */
  mayPublish(topic: string): boolean
  /** Subscribe, pull, follow, query; `group` is undefined for what needs none, `topic` empty for all topics. */
  mayConsume(topic: string, group: string | undefined): boolean
  /** Create, list, describe, configure, reset and delete; without a name it is about all of them. */
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
    case 'PREPARE':
      return principal.mayPublish(frame.topic) ? undefined : `${name} may not publish to '${frame.topic}'`
    case 'SUBSCRIBE': {
      const { topic, group } = frame
      return principal.mayConsume(topic, group) ? undefined : `${name} may not consume '${topic}' as '${group}'`
    }
    case 'PULL':
    case 'QUERY':
    case 'QUERY_TRACE':
      return principal.mayConsume(frame.topic, undefined) ? undefined : `${name} may not read '${frame.topic}'`
    case 'FOLLOW':
      return followForbidden(frame, principal)
    case 'RECALL':
      return principal.mayPublish(frame.topic) ? undefined : `${name} may not recall from '${frame.topic}'`
    // The id of a transaction is eight random bytes that only its producer, those who are asked and administrators get to
    // know, and its messages were judged when they were prepared. Whoever registers is shown none but of topics that it
    // may publish to (server-requests.ts).
    case 'END_TRANSACTION':
    case 'REGISTER_PRODUCER':
    case 'UNREGISTER_PRODUCER':
      return principal.mayPublish('') ? undefined : `${name} may not publish`
    case 'CREATE_TOPIC':
    case 'CONFIGURE_TOPIC':
    case 'DESCRIBE_TOPIC':
    case 'DELETE_TOPIC':
      return principal.mayAdmin({ topic: frame.topic }) ? undefined : `${name} may not administer '${frame.topic}'`
    case 'LIST_DELAYED': {
      const { topic } = frame
      const mayList = principal.mayAdmin(topic === '' ? {} : { topic })
      return mayList ? undefined : `${name} may not list the delayed messages of '${topic}'`
    }
    case 'CONFIGURE_GROUP':
    case 'DESCRIBE_GROUP':
    case 'DELETE_GROUP':
    case 'RESEND_DEAD_LETTERS':
    case 'PURGE_DEAD_LETTERS':
      return principal.mayAdmin({ group: frame.group }) ? undefined : `${name} may not administer '${frame.group}'`
    case 'RESET_GROUP': {
      const { topic, group } = frame
      return principal.mayAdmin({ topic, group }) ? undefined : `${name} may not reset '${group}' on '${topic}'`
    }
    case 'SETTLE_HELD': {
      const { topic, group } = frame
      return principal.mayAdmin({ topic, group }) ? undefined : `${name} may not settle what '${group}' holds of '${topic}'`
    }
    case 'LIST_TOPICS':
    case 'LIST_GROUPS':
      return principal.mayAdmin({}) ? undefined : `${name} may not list topics and groups`
    case 'DESCRIBE_RELAY':
    case 'LIST_CONNECTIONS':
    case 'CLOSE_CONNECTION':
      return principal.mayAdmin({}) ? undefined : `${name} may not administer the relay`
    case 'LIST_TRANSACTIONS':
      return principal.mayAdmin({}) ? undefined : `${name} may not list transactions`
    // What belongs to the connection itself, or to a subscription that was allowed.
    case 'HELLO':
    case 'PING':
    case 'CREDIT':
    case 'ACK':
    case 'RETRY':
    case 'EXTEND':
    case 'RECEIVE':
    case 'UNSUBSCRIBE':
    case 'POSITIONS':
      return undefined
    // Who was asked may answer: a reply goes to the client that a message named, and is stored nowhere.
    case 'REPLY':
      return undefined
    default:
      return unreachable(frame)
  }
}

function followForbidden({ topics, withProgress }: FrameFields<'FOLLOW'>, principal: Principal): string | undefined {
  const { name } = principal
  const followed = topics.length === 0 ? [''] : topics
  const refused = followed.find((topic) => !principal.mayConsume(topic, undefined))
  if (refused !== undefined) return `${name} may not read '${refused}'`
  return !withProgress || principal.mayAdmin({}) ? undefined : `${name} may not follow the progress of groups`
}

// Requests that only ask and are answered: topics, groups, what is stored and what waits. They leave nothing behind at
// the connection.

import { unreachable } from '../assert.ts'
import type { BrokerDoor } from '../broker/door.ts'
import { PocketError } from '../errors.ts'
import { closeConnection, listConnections, type RelayDoor } from './relay-door.ts'
import type { RequestAnswers, RequestFrame } from './request-answers.ts'

type StreamVerb = 'SUBSCRIBE' | 'FOLLOW' | 'UNSUBSCRIBE' | 'ACK' | 'RETRY' | 'EXTEND' | 'RECEIVE' | 'PULL'
type ProducerVerb =
  | 'PUBLISH' | 'PREPARE' | 'END_TRANSACTION' | 'REGISTER_PRODUCER' | 'UNREGISTER_PRODUCER' | 'REPLY'

export type AdminFrame = Exclude<RequestFrame, { readonly name: StreamVerb | ProducerVerb }>

export function adminRequest(
  frame: AdminFrame, broker: BrokerDoor, relay: RelayDoor | undefined, answers: RequestAnswers,
): void {
  switch (frame.name) {
    case 'QUERY':
      return broker.query(frame, answers.replyAs(frame, 'MESSAGES', (messages) => ({ messages })))
    case 'QUERY_TRACE':
      return broker.queryTrace(frame, answers.replyAs(frame, 'TRACE', (timelines) => ({ timelines })))
    case 'CREATE_TOPIC':
      return broker.createTopic(frame, answers.replyWith(frame, 'TOPIC'))
    case 'CONFIGURE_TOPIC':
      return broker.configureTopic(frame, answers.replyWith(frame, 'TOPIC'))
    case 'LIST_TOPICS':
      return broker.listTopics(frame, answers.replyWith(frame, 'TOPICS'))
    case 'DESCRIBE_TOPIC':
      return broker.describeTopic(frame.topic, answers.replyWith(frame, 'TOPIC'))
    case 'DELETE_TOPIC':
      return broker.deleteTopic(frame.topic, answers.replyDone(frame))
    case 'CONFIGURE_GROUP':
      return broker.configureGroup(frame, answers.replyWith(frame, 'GROUP'))
    case 'LIST_GROUPS':
      return broker.listGroups(frame, answers.replyWith(frame, 'GROUPS'))
    case 'DESCRIBE_GROUP':
      return broker.describeGroup(frame.group, answers.replyWith(frame, 'GROUP'))
    case 'DELETE_GROUP':
      return broker.deleteGroup(frame.group, answers.replyDone(frame))
    case 'RESET_GROUP':
      return broker.resetGroup(frame, answers.replyWith(frame, 'GROUP'))
    case 'SETTLE_HELD':
      return broker.settleHeld(frame, answers.replyWith(frame, 'GROUP'))
    case 'RESEND_DEAD_LETTERS':
      return broker.resendDeadLetters(frame, answers.replyWith(frame, 'DEAD_LETTERS'))
    case 'PURGE_DEAD_LETTERS':
      return broker.purgeDeadLetters(frame, answers.replyWith(frame, 'DEAD_LETTERS'))
    case 'RECALL':
      return broker.recall(frame, answers.replyWith(frame, 'RECALLED'))
    case 'LIST_DELAYED':
      return broker.listDelayed(frame, answers.replyWith(frame, 'DELAYED'))
    case 'LIST_TRANSACTIONS':
      return broker.listTransactions(frame, answers.replyWith(frame, 'TRANSACTIONS'))
    case 'DESCRIBE_RELAY':
      return answers.replyWith(frame, 'RELAY')(mustTell(relay).describe())
    case 'LIST_CONNECTIONS':
      return answers.replyWith(frame, 'CONNECTIONS')(listConnections(mustTell(relay), frame))
    case 'CLOSE_CONNECTION':
      return answers.replyDone(frame)(closeConnection(mustTell(relay), frame.clientId))
    default:
      return unreachable(frame)
  }
}

function mustTell(relay: RelayDoor | undefined): RelayDoor {
  if (relay !== undefined) return relay
  throw new PocketError('FORBIDDEN', 'this broker tells nothing of itself')
}

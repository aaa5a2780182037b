// Reads at the end all that is stored, as a client does: the topics, and the dead letters of groups.

import type { Client, Message } from '../../core/client/api.ts'
import { text } from '../../core/client/codec.ts'
import { deadLetterProperties } from '../../core/model/message.ts'
import type { DeadLetter } from '../checkers/dead-letters.ts'
import type { HistoryEvent } from '../checkers/history.ts'
import type { StoredMessage } from '../checkers/offset-agreement.ts'
import { foundAt, type SharedState } from './sim-application.ts'
import { faultOf, nameIn } from './sim-message.ts'
import { inspector, type StoredLog } from './verdict.ts'
import type { WorldPlan } from './world-plan.ts'

/** All that is stored of a plan's topics and groups. What it reads goes into the history too. */
export async function readLog(client: Client, plan: WorldPlan, { sent, noted }: SharedState): Promise<StoredLog> {
  const messages: StoredMessage[] = []
  const check = (message: Message<string>): string => {
    const name = nameIn(message.value)
    const fault = faultOf(message, name, sent.get(name))
    if (fault !== undefined) noted({ kind: 'garbled', reader: inspector, message: name, text: fault })
    return name
  }
  client.on('gap', ({ topic, queueId, expected, next }) => {
    noted({ kind: 'gap', reader: inspector, topic, queueId, expected, next })
  })
  for (const { topic } of plan.topics) {
    await readTopic(client, topic, (message) => {
      const name = check(message)
      const found = foundAt(message)
      const { storedMs } = message
      const read: HistoryEvent = {
        kind: 'delivered', message: name, group: inspector, member: inspector, attempt: 0, found, storedMs,
      }
      noted(read)
      messages.push({ message: name, ...found })
    })
  }
  const deadLetters = new Map<string, DeadLetter[]>()
  const listed = await client.admin.listTopics({ containing: '%DLQ%' })
  for (const { topic } of listed) {
    const letters: DeadLetter[] = []
    deadLetters.set(topic.slice('%DLQ%'.length), letters)
    await readTopic(client, topic, (message) => letters.push(deadLetterOf(message, check(message))))
  }
  return { messages, deadLetters }
}

async function readTopic(client: Client, name: string, read: (message: Message<string>) => void): Promise<void> {
  const { queues } = await client.admin.describeTopic(name)
  const topic = client.topic(name, { codec: text })
  for (const { queueId } of queues) {
    for await (const messages of topic.pull({ queueId, untilEnd: true })) messages.forEach(read)
  }
}

function deadLetterOf({ offset, properties }: Message<string>, message: string): DeadLetter {
  const property = (name: keyof typeof deadLetterProperties): string => properties.get(deadLetterProperties[name]) ?? ''
  return {
    message, offset,
    attempt: Number(property('attempts')),
    origin: {
      topic: property('originTopic'),
      queueId: Number(property('originQueueId')),
      offset: Number(property('originOffset')),
      messageId: property('originMessageId'),
    },
  }
}

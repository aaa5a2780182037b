// Messages of the simulated world: a name that says all of them, and a body that shows when it is not as it was sent.
//
//   name  topic:client.incarnation:number:tag       body  name, a blank, and as many dots as it was padded with

import type { Message } from '../../core/client/api.ts'

export const tags = ['a', 'b', 'c'] as const
export type Tag = (typeof tags)[number]

/** What was sent, by its name. */
export interface SentMessage {
  readonly paddingBytes: number
  readonly messageGroup: string | undefined
}

export function messageName(topic: string, client: string, number: number, tag: Tag): string {
  return `${topic}:${client}:${number}:${tag}`
}

export function bodyOf(name: string, paddingBytes: number): string {
  return `${name} ${'.'.repeat(paddingBytes)}`
}

/** The message's name in a body. */
export function nameIn(body: string): string {
  const end = body.indexOf(' ')
  return end < 0 ? body : body.slice(0, end)
}

/** Added to the number of a message that comes when it is due, not in the order it was sent. */
export const delayedNumber = 1_000_000
/** The same of one that comes when its transaction is committed. */
export const transactionNumber = 2_000_000

/** Whose order in a queue it keeps: its producer's, or nobody's but its own. */
export function sequenceOf(name: string): string {
  return Number(name.split(':')[2]) < delayedNumber ? producerOf(name) : name
}

/** Who sent it. */
export function producerOf(name: string): string {
  return name.split(':')[1] ?? ''
}

export function tagOf(name: string): string {
  return name.slice(name.lastIndexOf(':') + 1)
}

/** Whether applications that can't stomach some messages fail at this one, however often it comes. */
export function isPoison(name: string): boolean {
  return Number(name.split(':')[2]) % 7 === 3
}

/** What is wrong with a message as received; undefined where nothing is. */
export function faultOf(message: Message<string>, name: string, sent: SentMessage | undefined): string | undefined {
  // Nobody sent it: for the phantom checker.
  if (sent === undefined) return undefined
  const { value, tag, messageGroup, topic } = message
  if (value !== bodyOf(name, sent.paddingBytes)) return `its body of ${value.length} characters is not what was sent`
  if (tag !== tagOf(name)) return `its tag is ${tag}`
  if (!name.startsWith(`${topic}:`) && !topic.startsWith('%')) return `it came from ${topic}`
  if (messageGroup !== sent.messageGroup && !topic.startsWith('%')) return `its message group is ${messageGroup}`
  return undefined
}

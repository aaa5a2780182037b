// Names of topics, groups, tags, keys and message groups: who may be called what. The rules are RocketMQ's
// (TopicValidator, GrpcValidator); `__proto__` is a legal topic, so anything keyed by a name is a Map.

import { textSize } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'

const nameForm = /^[%|a-zA-Z0-9_-]+$/
const deadLetterPrefix = '%DLQ%'
const systemPrefixes = ['%', 'rmq_sys_']

/** Throws BAD_NAME unless `topic` may name a topic. */
export function checkTopicName(topic: string): void {
  const lengthMax = topic.startsWith('%') ? fixedLimits.systemTopicNameLengthMax : fixedLimits.topicNameLengthMax
  checkForm('topic', topic, lengthMax)
}

/** Throws BAD_NAME unless `group` may name a consumer group. */
export function checkGroupName(group: string): void {
  checkForm('group', group, fixedLimits.groupNameLengthMax)
}

/** Throws BAD_NAME unless `name` may name a consumer that keeps its positions at the relay. */
export function checkConsumerName(name: string): void {
  checkForm('consumer', name, fixedLimits.consumerNameBytesMax)
}

function checkForm(what: string, name: string, lengthMax: number): void {
  if (name.length === 0) throw new PocketError('BAD_NAME', `a ${what} needs a name`)
  if (name.length > lengthMax) {
    const text = `the ${what} name has ${name.length} characters; at most ${lengthMax} are allowed`
    throw new PocketError('BAD_NAME', text)
  }
  if (!nameForm.test(name)) {
    throw new PocketError('BAD_NAME', `the ${what} name '${name}' has characters other than a-z A-Z 0-9 _ - % |`)
  }
}

/** Whether the topic belongs to the broker: clients read it and never create or publish to it. */
export function isSystemTopic(topic: string): boolean {
  return systemPrefixes.some((prefix) => topic.startsWith(prefix))
}

/** Where a group's messages go that failed for good. */
export function deadLetterTopicOf(group: string): string {
  return deadLetterPrefix + group
}

export function isDeadLetterTopic(topic: string): boolean {
  return topic.startsWith(deadLetterPrefix)
}

/** Where traces are kept. RocketMQ's is RMQ_SYS_TRACE_TOPIC. */
export const traceTopic = 'rmq_sys_TRACE_TOPIC'

/** Where half messages are kept of transactions that nobody could say the end of; RocketMQ's name, in our prefix. */
export const unresolvedTopic = 'rmq_sys_TRANS_CHECK_MAX_TIME_TOPIC'

// What producers say of a message in words: tag, keys, message group, property names. A blank is U+0020, nothing else:
// the broker checks bytes, and both must agree. Each check gives the size in bytes.

/** Throws BAD_NAME unless `tag` may be a tag: not blank, no blank at its ends, no `|`, no control characters. */
export function checkTag(tag: string): number {
  const size = checkLabel('tag', tag, fixedLimits.tagBytesMax)
  if (tag.includes('|')) {
    throw new PocketError('BAD_NAME', `the tag '${tag}' contains '|', which separates tags in a filter`)
  }
  if (tag.startsWith(' ') || tag.endsWith(' ')) {
    throw new PocketError('BAD_NAME', `the tag '${tag}' begins or ends with a blank`)
  }
  return size
}

export function checkKey(key: string): number {
  return checkLabel('key', key, fixedLimits.keyBytesMax)
}

export function checkMessageGroup(messageGroup: string): number {
  return checkLabel('message group', messageGroup, fixedLimits.messageGroupBytesMax)
}

export function checkPropertyName(name: string): number {
  return checkLabel('property name', name, fixedLimits.keyBytesMax)
}

function checkLabel(what: string, label: string, bytesMax: number): number {
  let isBlank = true
  for (let index = 0; index < label.length; index++) {
    const unit = label.charCodeAt(index)
    if (unit < 0x20 || unit === 0x7f) throw new PocketError('BAD_NAME', `the ${what} has control characters`)
    if (unit !== 0x20) isBlank = false
  }
  if (isBlank) throw new PocketError('BAD_NAME', `a ${what} may not be blank`)
  const size = textSize(label)
  if (size > bytesMax) {
    throw new PocketError('BAD_NAME', `the ${what} has ${size} bytes; at most ${bytesMax} are allowed`)
  }
  return size
}

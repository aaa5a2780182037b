// A received message as text: a line, a page, or JSON.

import type { Message } from '../../core/client/api.ts'
import { formatBytes, formatTime } from './values.ts'
import { formatFields } from './output.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The body as text; undefined where the bytes are not UTF-8. */
export function bodyText(body: Uint8Array): string | undefined {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

/** The message as JSON. The body is `body` where it is UTF-8, else `bodyBase64`. */
export function messageJson(message: Message<unknown>): Record<string, unknown> {
  const text = bodyText(message.body)
  return {
    messageId: message.messageId,
    topic: message.topic,
    queueId: message.queueId,
    offset: message.offset,
    tag: message.tag,
    keys: message.keys,
    messageGroup: message.messageGroup,
    properties: Object.fromEntries(message.properties),
    bornMs: message.bornMs,
    storedMs: message.storedMs,
    attempt: message.attempt,
    ...(text === undefined ? { bodyBase64: Buffer.from(message.body).toString('base64') } : { body: text }),
  }
}

/** `14:30:01.250  orders/3@41  [paid]  group=anna key=42  {"id":42}`. */
export function messageLine(message: Message<unknown>): string {
  const labels = [
    ...(message.messageGroup === undefined ? [] : [`group=${message.messageGroup}`]),
    ...message.keys.map((key) => `key=${key}`),
    ...(message.attempt > 1 ? [`attempt=${message.attempt}`] : []),
  ]
  const parts = [
    formatTime(message.storedMs),
    `${message.topic}/${message.queueId}@${message.offset}`,
    ...(message.tag === undefined ? [] : [`[${message.tag}]`]),
    ...(labels.length === 0 ? [] : [labels.join(' ')]),
    bodyPreview(message.body),
  ]
  return `${parts.join('  ')}\n`
}

/** The body on one line, cut to `lengthMax` characters. */
export function bodyPreview(body: Uint8Array, lengthMax = Infinity): string {
  const text = bodyText(body)
  if (text === undefined) return `<${formatBytes(body.length)}, not text>`
  const line = text.replaceAll(/\p{Cc}/gu, escapeControl)
  return line.length <= lengthMax ? line : `${line.slice(0, lengthMax - 1)}…`
}

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A control character could move the cursor or clear the screen: show it instead. */
function escapeControl(character: string): string {
  return shortEscapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** All about one message, a field a line. */
export function messagePage(message: Message<unknown>): string {
  return formatFields([
    ['message id', message.messageId],
    ['place', `${message.topic}/${message.queueId}@${message.offset}`],
    ['tag', message.tag ?? '-'],
    ['keys', message.keys.join(', ') || '-'],
    ['message group', message.messageGroup ?? '-'],
    ...[...message.properties].map(([name, value]): [string, string] => ['property', `${name}=${value}`]),
    ['born', new Date(message.bornMs).toISOString()],
    ['stored', new Date(message.storedMs).toISOString()],
    ['size', formatBytes(message.body.length)],
    ['body', bodyPreview(message.body)],
  ])
}

// Messages as files and lines: the body as text where it is text, a whole message as JSON, and the download of either.

import type { Message } from '../../core/index.ts'
import { formatBytes } from '../shared/language.ts'

/** As the relay's client gives them to an operator: bodies are bytes. */
export type StoredMessage = Message<Uint8Array>

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Undefined where the bytes are not UTF-8. */
export function bodyText(body: Uint8Array): string | undefined {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

/** Whether people can read it: text that is full of control characters is something else. */
export function isLegible(text: string): boolean {
  return !/[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text.slice(0, 4_096))
}

/** The body on one line, cut to `lengthMax` characters. */
export function bodyPreview(body: Uint8Array, lengthMax = 80): string {
  // One character may take four bytes, and may be cut in two there.
  const head = body.subarray(0, lengthMax * 4)
  const text = bodyText(head) ?? (head.length < body.length ? new TextDecoder().decode(head) : undefined)
  if (text === undefined || !isLegible(text)) return `<${formatBytes(body.length)}>`
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > lengthMax || head.length < body.length ? `${line.slice(0, lengthMax - 1)}…` : line
}

/** All there is to know, as the command line gives it too. The body is `body` where it is text, else `bodyBase64`. */
export function messageJson(message: StoredMessage): Record<string, unknown> {
  const { messageId, topic, queueId, offset, tag, keys, messageGroup, properties, body } = message
  const { bornMs, storedMs, deliverMs, priority, ttlMs } = message
  const text = bodyText(body)
  return {
    messageId, topic, queueId, offset, tag, keys, messageGroup, properties: Object.fromEntries(properties),
    bornMs, storedMs, deliverMs, priority, ttlMs,
    ...(text === undefined ? { bodyBase64: base64Of(body) } : { body: text }),
  }
}

function base64Of(body: Uint8Array): string {
  let binary = ''
  // As many as a call may have arguments everywhere.
  for (let at = 0; at < body.length; at += 8_192) binary += String.fromCharCode(...body.subarray(at, at + 8_192))
  return btoa(binary)
}

/** Gives the browser's user a file. */
export function download(name: string, content: string | Uint8Array, type: string): void {
  const part = typeof content === 'string' ? content : new Uint8Array(content)
  const url = URL.createObjectURL(new Blob([part], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The download has its own hold on it once it has begun.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

// Why a connection ended. The range is the advice: 4000 to 4499 reconnect, 4500 to 4999 stop. Codes below 4000 are
// WebSocket's own (RFC 6455 §7.4.1) and read as reconnect, but for 1002, 1003, 1007, 1008 and 1009.

export const closeCodes = {
  /** Both sides are done. */
  NORMAL: 1000,
  /** The relay is stopping; its text may carry when to come back. */
  RELAY_STOPPING: 4000,
  /** The reader did not take what it had given credit for; it may resume from its position. */
  SLOW_READER: 4001,
  /** Nothing was heard for two heartbeats, or no HELLO in time. */
  HEARTBEAT_LOST: 4002,
  /** Too many connections, or too many at once. */
  OVERLOADED: 4003,
  /** The relay's store failed; nothing was acknowledged that may be lost. */
  STORE_FAILED: 4004,
  /** A newer connection of the same client took over. */
  REPLACED: 4005,
  /** A bug in the relay. */
  INTERNAL: 4006,

  /** Bytes that are not this protocol, or a frame where it may not stand. */
  BAD_FRAME: 4500,
  /** No version of the protocol in common. */
  UNSUPPORTED_VERSION: 4501,
  /** A frame before HELLO, or a second HELLO. */
  HELLO_EXPECTED: 4502,
  /** The token is missing, wrong or expired. */
  UNAUTHENTICATED: 4503,
  /** The client may not connect. */
  FORBIDDEN: 4504,
  /** A frame or a count over its limit. */
  LIMIT_EXCEEDED: 4505,
} as const

export type CloseCodeName = keyof typeof closeCodes

const stoppingStandardCodes = new Set([1002, 1003, 1007, 1008, 1009])

/** Whether a client that was closed with `code` should connect again by itself. */
export function isReconnectable(code: number): boolean {
  if (code >= 4500) return false
  if (code >= 4000) return true
  return !stoppingStandardCodes.has(code)
}

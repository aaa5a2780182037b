// Connections as the core sees them: whole messages of bytes, in order, both ways. Contract suite:
// test/contract/transport-contract.ts. A transport never retries, and `send` never throws.

/**
 * What a transport tells of one connection. Calls come one at a time and never from within a method of the connection.
 * A message may be a view of up to 64 KiB of its neighbours' bytes: whoever keeps a small one for long copies it.
 */
export interface ConnectionHandler {
  /** The connection can send. Comes first, once, on the dialling side; an accepted connection is open already. */
  opened?(): void
  /** One whole message. The bytes stay as they are for as long as the receiver keeps them. */
  message(bytes: Uint8Array): void
  /** `bufferedBytes` has come down to half of the high-water mark after it had reached the mark. */
  drained?(): void
  /**
   * The end, once and last: by either side, by an error, or because no connection came about. Whoever closed is told its
   * own code. A paused side is told when it resumes or closes; a peer that vanished meanwhile is the heartbeat's to notice.
   */
  closed(code: number, reason: string): void
}

export interface Connection {
  /**
   * Sends the chunks as one message. They are not copied where the platform allows, so they must not change afterwards.
   * Before `opened` and after the end it does nothing.
   */
  send(chunks: readonly Uint8Array[]): void
  /** Bytes handed to `send` that the platform has not taken yet. */
  readonly bufferedBytes: number
  /** Stops, or goes on with, calls of `message`; the peer is slowed down by the platform's own flow control. */
  pause(): void
  resume(): void
  /**
   * Ends the connection with a code of model/close-codes.ts; what was sent before goes out first, and no message is heard
   * any more. Repeating it does nothing.
   */
  close(code: number, reason: string): void
  /** Who is there, for logs. */
  readonly peer: string
}

/** Opens connections. `handler.closed` is how a refused or broken attempt is told. */
export interface Dialler {
  dial(handler: ConnectionHandler): Connection
}

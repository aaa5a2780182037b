// What a command's exit code says.

export const exitCodes = {
  ok: 0,
  /** The operation failed. */
  failed: 1,
  /** Wrong usage: flags, arguments or values. */
  usage: 2,
  /** Ctrl-C, after cleaning up. */
  interrupted: 130,
  /** SIGTERM, after cleaning up. */
  terminated: 143,
} as const

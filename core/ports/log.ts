// Where the core says what happens to it. Levels: `error` means that a developer or operator should look; `info` is
// what an operator wants to find the next day; `debug` is for reading one connection's story. There is no warning.

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Log {
  error(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  debug(event: string, fields?: LogFields): void
}

/** Says nothing. */
export const silentLog: Log = { error() {}, info() {}, debug() {} }

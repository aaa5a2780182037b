// The core's log on the browser's console. `info` and `debug` go to the console's own lowest level, which browsers hide
// until a developer asks for it.

import type { Log, LogFields } from '../../core/ports/log.ts'

export function createConsoleLog(): Log {
  const say = (method: 'error' | 'debug') => (event: string, fields: LogFields = {}) =>
    console[method](`pocketmq ${event}`, fields)
  return { error: say('error'), info: say('debug'), debug: () => {} }
}

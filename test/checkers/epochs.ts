// Epochs: the epoch of a log moves on when messages at its end were lost, so that no position of before is taken for one
// of after; and for no other reason.

import type { Violation } from './history.ts'
import type { RelayHistory } from './relay-history.ts'

interface Log {
  epoch: number | undefined
  /** Something of it was reported as damaged since its epoch was last seen to change. */
  isDamaged: boolean
  /** Its end was, and nothing before: what is lost later below that is no reason to move on once more. */
  isCut: boolean
}

/** Logs whose epoch moved for no reason, or stood still when messages at their end were lost. */
export function findWrongEpochs(history: RelayHistory): Violation[] {
  const violations: Violation[] = []
  const logs = new Map<string, Log>()
  const damaged = new Set<string>()
  for (const event of history) {
    if (event.kind !== 'epoch' && event.kind !== 'damage-reported') continue
    const name = `${event.topic}/${event.queueId}`
    const log = logs.get(name) ?? { epoch: undefined, isDamaged: false, isCut: false }
    logs.set(name, log)
    if (event.kind === 'damage-reported') {
      log.isDamaged = true
      log.isCut ||= event.what === 'record at the tail' && !damaged.has(name)
      if (!event.what.startsWith('progress')) damaged.add(name)
      continue
    }
    const isGroundless = log.epoch !== undefined && !log.isDamaged
    if (isGroundless) violations.push({ message: '', text: `the epoch of ${name} moved for no reason` })
    log.epoch = event.epoch
    log.isDamaged = false
    log.isCut = false
  }
  for (const [name, { epoch, isCut }] of logs) {
    const text = `messages at the end of ${name} were lost, and its epoch is ${epoch} still`
    if (isCut && epoch !== undefined) violations.push({ message: '', text })
  }
  return violations
}

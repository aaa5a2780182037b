// The guard against runs that show nothing: nothing sent, nothing delivered, no fault that struck. Such a run is no pass.

import type { Violation } from './history.ts'

/** What a run has done. */
export interface Effort {
  readonly acknowledgedCount: number
  readonly deliveredCount: number
  /** Messages that the relay handed out under leases. */
  readonly grantCount: number
  /** Faults that were switched on, and those that struck. */
  readonly faultsChosen: readonly string[]
  readonly faultsLanded: readonly string[]
}

/** Fewer than these, and a run has shown nothing. */
const acknowledgedCountMin = 10
const deliveredCountMin = 20

/** What was not tried. */
export function findVacuity(effort: Effort): Violation[] {
  const { acknowledgedCount, deliveredCount, grantCount, faultsChosen, faultsLanded } = effort
  const missing: string[] = []
  if (acknowledgedCount < acknowledgedCountMin) missing.push(`only ${acknowledgedCount} sends were acknowledged`)
  if (deliveredCount < deliveredCountMin) missing.push(`only ${deliveredCount} messages were delivered`)
  if (grantCount === 0) missing.push('the relay handed out nothing')
  if (faultsChosen.length > 0 && faultsLanded.length === 0) missing.push(`none of the faults struck: ${faultsChosen.join(', ')}`)
  return missing.map((text) => ({ message: '', text }))
}

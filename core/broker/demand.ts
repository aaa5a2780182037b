// What a member asks of a queue of its group, and what it is given.

import type { Position } from '../model/position.ts'
import type { Delivery } from './door.ts'
import type { LeaseHolder } from './lease.ts'

/** What a member can take. */
export interface Demand {
  readonly messageCountMax: number
  readonly byteCountMax: number
  readonly leaseMs: number
  readonly holder: LeaseHolder
}

export type Taken =
  | { readonly kind: 'delivery'; readonly delivery: Delivery }
  | { readonly kind: 'gap'; readonly expected: Position; readonly next: Position }
  | { readonly kind: 'nothing' }
  /** Nothing now; there may be something as soon as the store has answered, or in another turn. It will wake. */
  | { readonly kind: 'later' }

export const nothing: Taken = { kind: 'nothing' }
export const later: Taken = { kind: 'later' }

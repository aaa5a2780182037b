// A group's progress in one queue as stored: a cursor and what lies behind it that is not consumed. Everything below
// the cursor and not listed is consumed or was filtered out, so the size follows what is outstanding, never how far a
// slow message lies back.

import { type ByteWriter, copyBytes } from '../bytes.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
const outstandingCountMax = 1 << 20

/** Messages `firstOffset…` held by a member. */
export interface StoredLease {
  readonly leaseId: number
  /** Eight bytes. */
  readonly memberId: Uint8Array
  readonly attempt: number
  /** Wall time. */
  readonly deadlineMs: number
  /** What the lease was given for: after a restart it is never held for longer, wherever the wall clock went. */
  readonly leaseMs: number
  /** Runs of offsets still unconsumed. */
  readonly runs: readonly OffsetRun[]
}

export interface OffsetRun {
  readonly offset: number
  readonly count: number
  /** Hash of the message group, in FIFO topics, where a run is one message; else 0. */
  readonly groupHash: number
}

/** What a message waits for: its next attempt, somebody's decision, or its place among the dead letters. */
export type WaitFate = 'again' | 'held' | 'dead'

// Their places are stored: add at the end.
const waitFates: readonly WaitFate[] = ['again', 'held', 'dead']

/** Delivered messages that wait, or that are free to be delivered again at once. */
export interface StoredWait {
  readonly offset: number
  readonly count: number
  readonly attempts: number
  /** Wall time from which it may be delivered; 0 is at once. */
  readonly visibleMs: number
  /** What it was told to wait: after a restart never longer, wherever the wall clock went. */
  readonly delayMs: number
  readonly fate: WaitFate
  /** As in {@link OffsetRun}, also of one message only. */
  readonly groupHash: number
}

/** Messages never delivered, behind an earlier one of their message group. */
export interface StoredLockQueue {
  readonly groupHash: number
  /** Ascending. */
  readonly offsets: readonly number[]
  /** From here on they are not listed, and the log tells; -1 where all are. */
  readonly cutOffset: number
  /** How many are not listed, about. */
  readonly cutCount: number
}

export interface StoredProgress {
  readonly epoch: number
  /** Next offset never delivered. */
  readonly cursor: number
  readonly leases: readonly StoredLease[]
  /** Ascending by offset. */
  readonly waits: readonly StoredWait[]
  readonly locked: readonly StoredLockQueue[]
}

export function encodeProgress(progress: StoredProgress, writer: ByteWriter): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(progress.epoch)
    w.varint(progress.cursor)
    w.varint(progress.leases.length)
    for (const lease of progress.leases) {
      w.varint(lease.leaseId)
      w.raw(lease.memberId)
      w.varint(lease.attempt)
      w.varint(lease.deadlineMs)
      w.varint(lease.leaseMs)
      w.varint(lease.runs.length)
      let next = 0
      for (const run of lease.runs) {
        w.varint(run.offset - next)
        w.varint(run.count)
        w.varint(run.groupHash)
        next = run.offset + run.count
      }
    }
    w.varint(progress.waits.length)
    let previous = 0
    for (const wait of progress.waits) {
      w.varint(wait.offset - previous)
      w.varint(wait.count)
      w.varint(wait.attempts)
      w.varint(wait.visibleMs)
      w.varint(wait.delayMs)
      w.u8(waitFates.indexOf(wait.fate))
      w.varint(wait.groupHash)
      previous = wait.offset + wait.count
    }
    w.varint(progress.locked.length)
    for (const { groupHash, offsets, cutOffset, cutCount } of progress.locked) {
      w.u32(groupHash)
      w.varint(cutOffset + 1)
      w.varint(cutCount)
      w.varint(offsets.length)
      let before = 0
      for (const offset of offsets) {
        w.varint(offset - before)
        before = offset
      }
    }
  }, writer)
}

export function decodeProgress(bytes: Uint8Array): StoredProgress {
  const reader = openValue(version, bytes)
  const epoch = reader.varint()
  const cursor = reader.varint()
  const leases: StoredLease[] = []
  for (let count = reader.count(outstandingCountMax); count > 0; count--) {
    const leaseId = reader.varint()
    const memberId = copyBytes(reader.raw(8))
    const attempt = reader.varint()
    const deadlineMs = reader.varint()
    const leaseMs = reader.varint()
    const runs: OffsetRun[] = []
    let next = 0
    for (let runCount = reader.count(outstandingCountMax); runCount > 0; runCount--) {
      const offset = next + reader.varint()
      const run = { offset, count: reader.varint(), groupHash: reader.varint() }
      runs.push(run)
      next = offset + run.count
    }
    leases.push({ leaseId, memberId, attempt, deadlineMs, leaseMs, runs })
  }
  const waits: StoredWait[] = []
  let previous = 0
  for (let count = reader.count(outstandingCountMax); count > 0; count--) {
    const wait = {
      offset: previous + reader.varint(),
      count: reader.varint(),
      attempts: reader.varint(),
      visibleMs: reader.varint(),
      delayMs: reader.varint(),
      fate: waitFates[reader.u8()] ?? 'again',
      groupHash: reader.varint(),
    }
    waits.push(wait)
    previous = wait.offset + wait.count
  }
  const locked: StoredLockQueue[] = []
  for (let count = reader.count(outstandingCountMax); count > 0; count--) {
    const groupHash = reader.u32()
    const cutOffset = reader.varint() - 1
    const cutCount = reader.varint()
    const offsets: number[] = []
    let before = 0
    for (let offsetCount = reader.count(outstandingCountMax); offsetCount > 0; offsetCount--) {
      before += reader.varint()
      offsets.push(before)
    }
    locked.push({ groupHash, offsets, cutOffset, cutCount })
  }
  return { epoch, cursor, leases, waits, locked }
}

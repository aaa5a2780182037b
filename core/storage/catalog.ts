// Topics, groups, queue states and producer states as stored: small sealed values, one mirrored pair of functions each.

import { type ByteReader, ByteWriter } from '../bytes.ts'
import type {
  CleanupPolicy, Durability, ExhaustedPolicy, GroupConfig, MessageType, RetryPolicy, TopicConfig,
} from '../model/topic.ts'
import { fixedLimits } from '../limits.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
/** One for all: every use leaves it empty. */
const writer = new ByteWriter(256)

export interface StoreHeader {
  /** Counts openings; receipts carry it, so that none of an earlier life fits. */
  readonly bootCount: number
  readonly topicIdNext: number
}

export function encodeStoreHeader(header: StoreHeader): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(header.bootCount)
    w.varint(header.topicIdNext)
  }, writer)
}

export function decodeStoreHeader(bytes: Uint8Array): StoreHeader {
  const reader = openValue(version, bytes)
  return { bootCount: reader.varint(), topicIdNext: reader.varint() }
}

export interface TopicRecord {
  readonly topicId: number
  readonly config: TopicConfig
}

// Their places are stored: add at the end.
const messageTypes: readonly MessageType[] = ['NORMAL', 'FIFO', 'PRIORITY']
const cleanupPolicies: readonly CleanupPolicy[] = ['DELETE', 'COMPACT']
const durabilities: readonly Durability[] = ['strict', 'relaxed']
const exhaustedPolicies: readonly ExhaustedPolicy[] = ['dead-letter', 'hold']

export function encodeTopic(topic: TopicRecord): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(topic.topicId)
    w.varint(topic.config.queueCount)
    w.u8(messageTypes.indexOf(topic.config.messageType))
    w.varint(topic.config.retentionMs)
    w.varint(topic.config.retentionBytes)
    w.u8(cleanupPolicies.indexOf(topic.config.cleanupPolicy))
    w.varint(topic.config.ttlMs)
    w.varint(topic.config.tracePermille)
    w.u8(durabilities.indexOf(topic.config.durability))
  }, writer)
}

export function decodeTopic(bytes: Uint8Array): TopicRecord {
  const reader = openValue(version, bytes)
  return {
    topicId: reader.varint(),
    config: {
      queueCount: reader.varint(),
      messageType: messageTypes[reader.u8()] ?? 'NORMAL',
      retentionMs: reader.varint(),
      retentionBytes: reader.varint(),
      cleanupPolicy: cleanupPolicies[reader.u8()] ?? 'DELETE',
      ttlMs: reader.varint(),
      tracePermille: reader.varint(),
      durability: durabilities[reader.u8()] ?? 'strict',
    },
  }
}

export function encodeGroup(config: GroupConfig): Uint8Array {
  const { retry } = config
  return sealValue(version, (w) => {
    w.varint(config.attemptCountMax)
    w.u8(retry.kind === 'schedule' ? 0 : 1)
    if (retry.kind === 'schedule') {
      w.varint(retry.delaysMs.length)
      for (const delayMs of retry.delaysMs) w.varint(delayMs)
    } else {
      w.varint(retry.firstMs)
      w.varint(retry.factor)
      w.varint(retry.maxMs)
    }
    w.u8(exhaustedPolicies.indexOf(config.exhausted))
    w.u8(config.isPaused ? 1 : 0)
    w.varint(config.inFlightMax)
    w.varint(config.inFlightPerMemberMax)
  }, writer)
}

export function decodeGroup(bytes: Uint8Array): GroupConfig {
  const reader = openValue(version, bytes)
  return {
    attemptCountMax: reader.varint(),
    retry: readRetryPolicy(reader),
    exhausted: exhaustedPolicies[reader.u8()] ?? 'dead-letter',
    isPaused: reader.u8() === 1,
    inFlightMax: reader.varint(),
    inFlightPerMemberMax: reader.varint(),
  }
}

function readRetryPolicy(reader: ByteReader): RetryPolicy {
  if (reader.u8() === 1) {
    return { kind: 'exponential', firstMs: reader.varint(), factor: reader.varint(), maxMs: reader.varint() }
  }
  const delaysMs: number[] = []
  for (let count = reader.count(fixedLimits.retryScheduleCountMax); count > 0; count--) delaysMs.push(reader.varint())
  return { kind: 'schedule', delaysMs }
}

/** What a queue's log is, without its records. Written with every append, so that a lost tail is noticed. */
export interface QueueState {
  readonly epoch: number
  /** First offset kept. */
  readonly minOffset: number
  /** Next offset to be written. */
  readonly maxOffset: number
  /** Max offset when the epoch began: for what is lost below it, the epoch has moved on already. */
  readonly epochOffset: number
  readonly storedBytes: number
  /** Stored time of the newest record; stored times never decrease within a queue. */
  readonly lastStoredMs: number
  /** Behind the newest record at rest: the max offset, unless what was newest is gone by design. */
  readonly recordsEnd: number
  /** Messages from min to max offset that are gone by design: compacted, or dead letters that were moved. */
  readonly removedCount: number
  /** In a COMPACT topic: for every message below, older ones of its key are gone. */
  readonly compactedOffset: number
  /** In a COMPACT topic: of the messages below, those that only removed their key are gone. Not over `compactedOffset`. */
  readonly tombstoneOffset: number
}

export function encodeQueueState(state: QueueState): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(state.epoch)
    w.varint(state.minOffset)
    w.varint(state.maxOffset)
    w.varint(state.epochOffset)
    w.varint(state.storedBytes)
    w.varint(state.lastStoredMs)
    w.varint(state.maxOffset - state.recordsEnd)
    w.varint(state.removedCount)
    w.varint(state.compactedOffset)
    w.varint(state.tombstoneOffset)
  }, writer)
}

export function decodeQueueState(bytes: Uint8Array): QueueState {
  const reader = openValue(version, bytes)
  const epoch = reader.varint()
  const minOffset = reader.varint()
  const maxOffset = reader.varint()
  return {
    epoch, minOffset, maxOffset,
    epochOffset: reader.varint(),
    storedBytes: reader.varint(),
    lastStoredMs: reader.varint(),
    recordsEnd: Math.max(0, maxOffset - reader.varint()),
    removedCount: reader.varint(),
    compactedOffset: reader.varint(),
    tombstoneOffset: reader.varint(),
  }
}

/** The newest a broker knows of an idempotent producer. */
export interface ProducerState {
  readonly epoch: number
  /** Sequence of its last stored message; -1 before the first of an epoch. */
  readonly lastSequence: number
  readonly lastMs: number
}

export function encodeProducerState(state: ProducerState): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(state.epoch)
    w.varint(state.lastSequence + 1)
    w.varint(state.lastMs)
  }, writer)
}

export function decodeProducerState(bytes: Uint8Array): ProducerState {
  const reader = openValue(version, bytes)
  return { epoch: reader.varint(), lastSequence: reader.varint() - 1, lastMs: reader.varint() }
}

/** Where a BROADCASTING consumer stands in a queue that lets the broker keep it. */
export interface BroadcastPosition {
  readonly epoch: number
  readonly offset: number
  /** When it was last heard of. */
  readonly updatedMs: number
  /** Its group was moved there, and it has not reported since. */
  readonly isReset: boolean
}

export function encodeBroadcastPosition(position: BroadcastPosition): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(position.epoch)
    w.varint(position.offset)
    w.varint(position.updatedMs)
    w.u8(position.isReset ? 1 : 0)
  }, writer)
}

export function decodeBroadcastPosition(bytes: Uint8Array): BroadcastPosition {
  const reader = openValue(version, bytes)
  return { epoch: reader.varint(), offset: reader.varint(), updatedMs: reader.varint(), isReset: reader.u8() === 1 }
}

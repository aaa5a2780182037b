// Topics, groups, queue states and producer states as stored: small sealed values, one mirrored pair of functions each.

import { ByteWriter } from '../bytes.ts'
import type { GroupConfig, MessageType, TopicConfig } from '../model/topic.ts'
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

const messageTypes: readonly MessageType[] = ['NORMAL', 'FIFO']

export function encodeTopic(topic: TopicRecord): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(topic.topicId)
    w.varint(topic.config.queueCount)
    w.u8(messageTypes.indexOf(topic.config.messageType))
    w.varint(topic.config.retentionMs)
    w.varint(topic.config.retentionBytes)
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
    },
  }
}

export function encodeGroup(config: GroupConfig): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(config.attemptCountMax)
    w.varint(config.retryScheduleMs.length)
    for (const delayMs of config.retryScheduleMs) w.varint(delayMs)
  }, writer)
}

export function decodeGroup(bytes: Uint8Array): GroupConfig {
  const reader = openValue(version, bytes)
  const attemptCountMax = reader.varint()
  const retryScheduleMs: number[] = []
  for (let count = reader.count(64); count > 0; count--) retryScheduleMs.push(reader.varint())
  return { attemptCountMax, retryScheduleMs }
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
}

export function encodeQueueState(state: QueueState): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(state.epoch)
    w.varint(state.minOffset)
    w.varint(state.maxOffset)
    w.varint(state.epochOffset)
    w.varint(state.storedBytes)
    w.varint(state.lastStoredMs)
  }, writer)
}

export function decodeQueueState(bytes: Uint8Array): QueueState {
  const reader = openValue(version, bytes)
  return {
    epoch: reader.varint(),
    minOffset: reader.varint(),
    maxOffset: reader.varint(),
    epochOffset: reader.varint(),
    storedBytes: reader.varint(),
    lastStoredMs: reader.varint(),
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

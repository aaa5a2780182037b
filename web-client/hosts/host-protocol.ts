// What hosts and pages say to find each other, beside the port's own protocol: names of locks and channels, what a hello
// and its answers carry on top, and the messages of the channel that all tabs and engines of one name hear.

import type { Farewell, Hello, Ping, Welcome } from '../port/port-protocol.ts'

/** Held by the one engine that runs. */
export function engineLockOf(name: string): string {
  return `pocketmq:${name}:engine`
}

/** Held by that life of the engine: who queues on it is told of its end. */
export function instanceLockOf(name: string, instanceId: string): string {
  return `${engineLockOf(name)}:${instanceId}`
}

/** Held by a tab while it is there: the engine queues on it. */
export function tabLockOf(name: string, tabId: string): string {
  return `pocketmq:${name}:tab:${tabId}`
}

/** Where pages without a line of their own look for the engine, and engines of two builds make room. Little is said. */
export function controlOf(name: string): string {
  return `pocketmq:${name}:control`
}

/** The line between one tab and one life of the engine: only these two hear it, so nobody else decodes it. */
export function lineOf(name: string, instanceId: string, tabId: string): string {
  return `pocketmq:${name}:line:${instanceId}:${tabId}`
}

/** A hello as hosts need it. */
export interface HostHello extends Hello {
  readonly name: string
  /** Counts the tab's hellos: an engine serves a tab's latest. The first may make an engine of another build go. */
  readonly attempt: number
}

/** Which hello is answered. */
export interface Answer {
  readonly tabId: string
  readonly attempt: number
}

export type HostWelcome = Welcome & Answer
export type HostFarewell = Farewell & Answer & { readonly portVersion: number }

/** On an own line: the host lives and will welcome when it has the engine's lock; another engine may be quicker. */
export interface Waiting {
  readonly kind: 'waiting'
}

/** On an own line: the page goes, and the worker with it: end the engine in order. Answered by `retired`. */
export interface Retire {
  readonly kind: 'retire' | 'retired'
}

/** On a line of a channel: the page listens, the engine may speak. */
export interface LineOpen {
  readonly kind: 'open'
}

/** An engine runs now: who waits says hello again. */
export interface Here {
  readonly kind: 'here'
  readonly portVersion: number
  readonly build: string
}

/** A host of another build asks the engine to make room. */
export interface MakeRoom {
  readonly kind: 'make-room'
  readonly portVersion: number
  readonly build: string
}

/** All that is said on the control channel. A ping there is answered by the host that holds the engine's lock. */
export type ControlMessage = HostHello | HostWelcome | HostFarewell | Here | MakeRoom | Ping

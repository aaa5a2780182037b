// What PocketMQ means to reach, and whether this run says it does. Ratios and costs of the same run, because the
// speed of machines differs more than that of systems.

import type { Figures } from './figures.ts'
import type { Pace, ScenarioName } from './job.ts'
import type { Result } from './run.ts'

export interface TargetOutcome {
  readonly target: string
  /** What was measured, with its unit. */
  readonly measured: string
  readonly isMet: boolean
}

/** The million that the targets for stored messages speak of. */
const targetBacklogCount = 1_000_000

/** The outcome of every target that this run has the figures for. */
export function judgeTargets(results: readonly Result[], pace: Pace): TargetOutcome[] {
  const find = (scenario: ScenarioName, system: string, bodyBytes = 100): Figures =>
    results.find((result) => result.scenario === scenario && result.system === system && result.bodyBytes === bodyBytes)
      ?.figures ?? {}
  const queue = find('durable-queue', 'pocketmq')
  const fanOut = find('fan-out-50', 'pocketmq')
  const light = find('light-load', 'pocketmq')
  const catchUp = find('catch-up', 'pocketmq')
  const idle = find('idle-connection', 'pocketmq')
  const isFullBacklog = pace.backlogCount === targetBacklogCount
  const open = isFullBacklog ? find('open', 'pocketmq') : {}
  const delayed = isFullBacklog ? find('delayed', 'pocketmq') : {}
  const scattered = isFullBacklog ? find('delayed-scattered', 'pocketmq') : {}
  const filters = find('filter-cost', 'in-process', 0)
  const queueRatio = divide(queue.messagesPerSecond, find('durable-queue', 'jetstream').messagesPerSecond)
  const fanOutRatio = divide(fanOut.messagesPerSecond, find('fan-out-50', 'nats').messagesPerSecond)
  const tracedRate = find('traced-queue', 'pocketmq').messagesPerSecond
  const tracedShare = divide(tracedRate, find('traced-queue', 'pocketmq-plain').messagesPerSecond)
  const tracePercent = tracedShare === undefined ? undefined : (1 - tracedShare) * 100
  const floorMs = add(find('light-load', 'ws').p50Ms, find('light-load', 'disk').p50Ms)
  return [
    atLeast('durable queue, 100 B: 10 times the rate of JetStream', 10, queueRatio, 'times', 1),
    atMost('durable queue, 100 B: 2.5 µs of server CPU a message', 2.5, queue.serverMicros, 'µs', 2),
    atLeast('fan-out to 50, 100 B: twice the rate of NATS core', 2, fanOutRatio, 'times', 1),
    atMost('fan-out to 50, 100 B: 0.2 µs of server CPU a delivery', 0.2, fanOut.serverMicros, 'µs', 2),
    atMost('light load: p50 within 1 ms of ws + one fdatasync', 1, add(light.p50Ms, negate(floorMs)), 'ms over', 2),
    atLeast('catch-up: 500,000 msg/s', 500_000, catchUp.messagesPerSecond, 'msg/s', 0),
    atMost('idle connection: 20 KiB', 20, idle.connectionKib, 'KiB', 1),
    atMost('1 M stored messages: RSS of 250 MiB', 250, open.rssMib, 'MiB', 0),
    atMost('1 M stored messages: open in 1,000 ms', 1000, open.openMs, 'ms', 0),
    atMost('1 M delayed messages, 100,000/s due: late by 20 ms at p99', 20, delayed.lateP99Ms, 'ms', 0),
    atMost('the same with scattered times', 20, scattered.lateP99Ms, 'ms', 0),
    atMost('trace of every message: 25 % of the rate', 25, tracePercent, '%', 1),
    atMost('filter, tag: 0.1 µs a message', 0.1, filters.tagMicros, 'µs', 3),
    atMost('filter, SQL of three terms: 1 µs a message', 1, filters.sqlMicros, 'µs', 3),
  ].flatMap((outcome) => outcome ?? [])
}

type Value = number | undefined

function atLeast(target: string, bound: number, value: Value, unit: string, decimals: number) {
  return judge(target, value, unit, decimals, (measured) => measured >= bound)
}

function atMost(target: string, bound: number, value: Value, unit: string, decimals: number) {
  return judge(target, value, unit, decimals, (measured) => measured <= bound)
}

function judge(
  target: string,
  value: Value,
  unit: string,
  decimals: number,
  isMet: (measured: number) => boolean,
): TargetOutcome | undefined {
  if (value === undefined || Number.isNaN(value)) return undefined
  const shown = value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
  return { target, measured: `${shown} ${unit}`, isMet: isMet(value) }
}

function divide(a: Value, b: Value): Value {
  return a === undefined || b === undefined ? undefined : a / b
}

function add(a: Value, b: Value): Value {
  return a === undefined || b === undefined ? undefined : a + b
}

function negate(a: Value): Value {
  return a === undefined ? undefined : -a
}

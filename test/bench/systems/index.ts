// All systems, in the order in which they take turns.

import { aedes } from './aedes.ts'
import { bareWs } from './bare-ws.ts'
import { disk } from './disk.ts'
import { inProcess } from './in-process.ts'
import { jetStream } from './jetstream.ts'
import { lmdb } from './lmdb.ts'
import { natsCore } from './nats-core.ts'
import { pocketMq, pocketMqPlain } from './pocketmq.ts'
import { redisPubSub } from './redis-pub-sub.ts'
import { redisStreams } from './redis-streams.ts'
import { socketIo } from './socket-io.ts'
import type { System } from './system.ts'

export const systems: readonly System[] = [
  pocketMq,
  pocketMqPlain,
  natsCore,
  jetStream,
  redisPubSub,
  redisStreams,
  socketIo,
  aedes,
  bareWs,
  lmdb,
  disk,
  inProcess,
]

/** The system of that name; throws where there is none. */
export function findSystem(name: string): System {
  const system = systems.find((candidate) => candidate.name === name)
  if (system === undefined) throw new Error(`no system is called ${name}`)
  return system
}

// Which of the wanted systems can be measured here, and what a reader of the tables must know about each.

import { pinnedVersion } from './peers.ts'
import { systems } from './systems/index.ts'
import type { Options } from './options.ts'
import type { System } from './systems/system.ts'

export interface Selection {
  readonly measurable: readonly System[]
  /** For the end of the report: what is skipped and why, versions, what an ack promises. */
  readonly notes: string[]
}

/** Checks the wanted systems, installs the peers' packages if one of them needs any, and builds what is to be built. */
export async function selectSystems(
  options: Options,
  installPeers: (report: (line: string) => void) => Promise<void>,
  report: (line: string) => void,
): Promise<Selection> {
  const notes = [...describePace(options)]
  const takesPart = (system: System): boolean => system.scenarios.some((name) => options.scenarios.includes(name))
  const wanted = systems.filter((system) => options.systems.includes(system.name) && takesPart(system))
  const present = wanted.filter((system) => {
    const reason = system.missing?.()
    if (reason !== undefined) notes.push(`${system.title} is skipped: ${reason}`)
    return reason === undefined
  })
  let measurable = present
  if (present.some((system) => system.peers)) {
    try {
      await installPeers(report)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const skipped = present.filter((system) => system.peers).map((system) => system.title)
      notes.push(`${skipped.join(', ')} are skipped: ${reason}`)
      measurable = present.filter((system) => !system.peers)
    }
  }
  for (const system of measurable) {
    system.build?.()
    notes.push(`${system.title}${describeVersions(system)}: ${system.durability}`)
  }
  return { measurable, notes }
}

function describePace({ pace, isQuick }: Options): string[] {
  const { roundCount, warmUpMs, measureMs, backlogCount, idleConnectionCount } = pace
  const rounds = roundCount === 1 ? '1 round' : `medians of ${roundCount} rounds, the systems taking turns`
  return [
    `${rounds}; ${measureMs} ms measured after ${warmUpMs} ms of warm-up, until all that was sent has arrived`,
    `backlog ${count(backlogCount)} messages; ${count(idleConnectionCount)} idle connections`,
    ...(isQuick ? ['--quick: too short for figures to be quoted'] : []),
    'server µs: CPU time, user and system, of the server process by the accounting of the operating system; of the ' +
      'bare limits, which have no server, that of the process itself',
    'load CPU: of the load generator, one process, the same program for all; near 100 % the client side limits',
    '"x NAME": how many times better than NAME in the same round; above 1 is better',
  ]
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function describeVersions(system: System): string {
  const names = [...(system.peers ?? []), ...(system.packages ?? [])]
  const versions = names.map((name) => `${name} ${pinnedVersion(name)}`)
  const all = [...(system.programVersion ? [system.programVersion()] : []), ...versions]
  return all.length === 0 ? '' : ` (${all.join(', ')})`
}

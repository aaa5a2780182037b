// The bench is one program in three roles: the main one, which orders the work and reports; a load process, a fresh
// one for each case, so that no system inherits another's heap or compiled code; and the servers written in
// JavaScript. A child is told its role by the environment and ends with its parent.

import { fileURLToPath } from 'node:url'

import { createLoad } from './job.ts'
import { findSystem } from './systems/index.ts'
import { scenarios } from './scenarios/index.ts'
import { topicName } from './scenarios/scenario.ts'
import type { Figures } from './figures.ts'
import type { Job, JobAnswer } from './job.ts'

const variable = 'POCKETMQ_BENCH_ROLE'

export type ChildRole =
  | { readonly kind: 'serve'; readonly system: string; readonly port: number }
  | { readonly kind: 'load'; readonly job: Job }

/** How to `fork` this program again in a role. */
export function childProgram(role: ChildRole): { file: string; env: NodeJS.ProcessEnv } {
  return { file: findRunningFile(), env: { ...process.env, [variable]: JSON.stringify(role) } }
}

/**
 * The file that this code is running from: the bundle the runner made. `import.meta` names the source it was made of,
 * and starting from that would bundle again, in the middle of a run, whatever has been edited since.
 */
function findRunningFile(): string {
  const { prepareStackTrace } = Error
  Error.prepareStackTrace = (_error, callSites) => callSites[0]?.getFileName()
  try {
    const url = new Error('for its stack').stack as string | undefined
    if (url === undefined) throw new Error('the runtime does not say which file is running')
    return url.startsWith('file:') ? fileURLToPath(url) : url
  } finally {
    Error.prepareStackTrace = prepareStackTrace
  }
}

/** The role that this process was started in; undefined for the main one. */
export function readRole(): ChildRole | undefined {
  const text = process.env[variable]
  return text === undefined ? undefined : (JSON.parse(text) as ChildRole)
}

export async function runRole(role: ChildRole): Promise<void> {
  process.once('disconnect', () => {
    // The main process was killed and could stop nothing; a server that is a program would stay.
    if (role.kind === 'load' && role.job.server) process.kill(role.job.server.pid)
    process.exit(1)
  })
  if (role.kind === 'serve') {
    const system = findSystem(role.system)
    if (system.kind !== 'served' || !('serve' in system.server)) throw new Error(`${role.system} serves by itself`)
    await system.server.serve(role.port)
    return
  }
  const answer = await answerJob(role.job)
  // The connections are still open: this process ends as soon as its answer is on its way.
  process.send?.(answer, () => process.exit(0))
}

async function answerJob(job: Job): Promise<JobAnswer> {
  try {
    return { figures: await doJob(job) }
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) }
  }
}

async function doJob(job: Job): Promise<Figures> {
  const system = findSystem(job.system)
  const load = createLoad(job)
  if (system.kind === 'limit') {
    if (job.task === 'fill') {
      await system.fill?.(load)
      return {}
    }
    const measure = system.measures[job.scenario]
    if (measure === undefined) throw new Error(`${job.system} has no part in ${job.scenario}`)
    return measure(load)
  }
  const { server } = job
  if (server === undefined) throw new Error(`${job.system} needs its server`)
  const client = await system.openClient(server.port, job.scenario)
  if (job.task === 'fill') {
    if (client.fill === undefined) throw new Error(`${job.system} stores no backlog`)
    await client.prepare?.(topicName, 'queue')
    await client.fill(topicName, load.body, job.pace.backlogCount)
    return {}
  }
  const scenario = scenarios.find((candidate) => candidate.name === job.scenario)
  if (scenario === undefined) throw new Error(`no scenario is called ${job.scenario}`)
  return scenario.measure({ ...load, client, server })
}

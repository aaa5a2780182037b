// The main process's handle on a load process: hands it one job and waits for its figures.

import { fork } from 'node:child_process'

import { childProgram } from './role.ts'
import type { Children } from './children.ts'
import type { Figures } from './figures.ts'
import type { Job, JobAnswer } from './job.ts'

/** Beyond this a load process is ended whatever it does; its own limits are tighter. */
const jobMsMax = 300_000

/** Runs a job in a process of its own. Throws with a one-line reason where it fails. */
export async function runJob(job: Job, children: Children): Promise<Figures> {
  const { file, env } = childProgram({ kind: 'load', job })
  const child = fork(file, { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  children.add(child)
  let errors = ''
  child.stderr?.on('data', (data: Buffer) => {
    errors = (errors + data.toString()).slice(0, 4000)
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), jobMsMax)
  try {
    const answer = await new Promise<JobAnswer>((resolve, reject) => {
      child.once('message', (message) => resolve(message as JobAnswer))
      child.once('error', reject)
      child.once('exit', () => reject(new Error(describeDeath(errors))))
    })
    if ('failure' in answer) throw new Error(answer.failure)
    return answer.figures
  } finally {
    clearTimeout(timer)
    await children.stop(child)
  }
}

function describeDeath(errors: string): string {
  const line = errors.split('\n').find((candidate) => /^\w*Error\b/.test(candidate)) ?? errors.trim().split('\n').at(-1)
  return `the load process ended early${line ? `: ${line}` : ''}`
}

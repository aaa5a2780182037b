// CPU time and memory of another process, from the operating system's own accounting, the same for every server
// whatever it is written in: /proc on Linux, `ps` on macOS. Elsewhere undefined, and the tables leave them out.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface ProcessUsage {
  /** User and system time of all its threads since it started, in milliseconds. */
  readonly cpuMs: number
  readonly rssBytes: number
}

// The length of the tick that /proc counts CPU time in; 100 a second on every common kernel, asked once all the same.
let tickMs: number | undefined

export function readProcessUsage(pid: number): ProcessUsage | undefined {
  try {
    if (process.platform === 'linux') return readProc(pid)
    if (process.platform === 'darwin') return readPs(pid)
  } catch {
    // Gone, or not ours to read: the caller shows no figure.
  }
  return undefined
}

function readProc(pid: number): ProcessUsage {
  tickMs ??= 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is the program's name in brackets and may hold spaces: count from behind it (see proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const rssKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs, rssBytes: rssKib * 1024 }
}

function readPs(pid: number): ProcessUsage {
  const line = execFileSync('ps', ['-o', 'rss=,time=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  const [rssKib, time] = line.split(/\s+/)
  const seconds = (time ?? '').split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
  return { cpuMs: seconds * 1000, rssBytes: Number(rssKib) * 1024 }
}

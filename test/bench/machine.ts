// What the figures were measured on. Figures without their machine mean nothing.

import { arch, cpus, release, totalmem, type } from 'node:os'
import { readFileSync } from 'node:fs'

export interface Machine {
  readonly cpu: string
  readonly coreCount: number
  readonly memoryGib: number
  readonly os: string
  readonly node: string
  /** ISO 8601. */
  readonly date: string
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    coreCount: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    os: `${distribution() ?? type()}, kernel ${release()}, ${arch()}`,
    node: process.version,
    date: new Date().toISOString(),
  }
}

function distribution(): string | undefined {
  try {
    return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

// The data set: 20,000 domestic flights of the United States in early 2001 (Bureau of Transportation Statistics), as
// the package vega-datasets carries them.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface Flight {
  /** Its place in the data set, from 0. */
  readonly number: number
  /** Local time of departure, `2001/01/01 00:47`. */
  readonly date: string
  /** Minutes; negative when early. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  /** Airports by their three letters. */
  readonly origin: string
  readonly destination: string
}

/** The flights in the order of the data set, or only its first `countMax`. */
export async function loadFlights(countMax = Infinity): Promise<readonly Flight[]> {
  const packageFolder = dirname(dirname(createRequire(import.meta.url).resolve('vega-datasets')))
  const text = await readFile(join(packageFolder, 'data', 'flights-20k.json'), 'utf8')
  const rows = JSON.parse(text) as readonly Omit<Flight, 'number'>[]
  return rows.slice(0, countMax).map((row, number) => ({ number, ...row }))
}

export function tagOf(flight: Flight): 'delayed' | 'on-time' {
  return flight.delay > 15 ? 'delayed' : 'on-time'
}

/** `DTW-LAS 2001/01/01 00:47`. */
export function keyOf(flight: Flight): string {
  return `${flight.origin}-${flight.destination} ${flight.date}`
}

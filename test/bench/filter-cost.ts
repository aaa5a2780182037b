// What a filter costs per message: a tag, and an SQL92 filter of three terms over messages with five properties. Run
// alone it prints both; the targets are 0.1 µs and 1 µs.

import process from 'node:process'

import { parseFilter, type MessageFilter } from '../../core/filter/message-filter.ts'
import { RecordBatch } from '../../core/record/record-batch.ts'
import { recordOf } from '../core/client/records.ts'

export interface FilterCost {
  /** Microseconds per message, of one core; the median of several rounds. */
  readonly tagMicros: number
  readonly sqlMicros: number
}

const messageCount = 1_000
const roundCount = 15
const passesPerRound = 200
const tagExpression = 'paid || shipped'
const sqlExpression = "region = 'eu' AND price > 10 AND level IS NOT NULL"

/** Filters of other subscribers, which keep the compiler from fitting the code to the measured one alone. */
const otherExpressions = [
  "TAGS IN ('paid', 'open') OR price BETWEEN 5 AND 7.5",
  "NOT (region LIKE 'e_%' AND KEYS CONTAINS 'k1') AND level <> 3",
  "-price < level AND customer STARTSWITH 'c' AND missing IS NULL",
  "(price = 12 OR price IN (1, 2, 3, 'none')) AND note NOT ENDSWITH 'x' AND region <> customer",
]

/** Takes about a second. */
export function measureFilterCost(): FilterCost {
  const record = sampleRecord()
  for (const expression of otherExpressions) medianMicros(parseFilter('SQL92', expression), record, 3)
  const sqlMicros = medianMicros(parseFilter('SQL92', sqlExpression), record, roundCount)
  const tagMicros = medianMicros(parseFilter('TAG', tagExpression), record, roundCount)
  return { tagMicros, sqlMicros }
}

/** Messages of which about a quarter pass each filter, and that are told apart by every one of the terms. */
function sampleRecord(): RecordBatch {
  const indexes = Array.from({ length: messageCount }, (_, index) => index)
  const headers = indexes.map((index) => ({
    bornMs: 1_795_000_000_000 + index,
    tag: ['paid', 'open', 'shipped', 'closed', 'void', 'lost', 'held', 'sent'][index % 8] as string,
    keys: [`k${index}`, `order-${index}`],
    properties: new Map([
      ['customer', `c-${index * 7919}`],
      ['region', index % 2 === 0 ? 'eu' : 'us'],
      ['price', String((index * 37 % 2_500) / 100)],
      ['note', 'leave it with the neighbours'],
      [index % 5 === 0 ? 'grade' : 'level', String(index % 10)],
    ]),
  }))
  return RecordBatch.view(recordOf(indexes.map(() => '{"an":"order"}'), { headers }))
}

function medianMicros(filter: MessageFilter, record: RecordBatch, rounds: number): number {
  let passed = 0
  const micros: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    for (let pass = 0; pass < passesPerRound; pass++) {
      for (let index = 0; index < messageCount; index++) if (filter.accepts(record, index)) passed++
    }
    micros.push((performance.now() - startedAt) * 1_000 / (passesPerRound * messageCount))
  }
  // Neither all nor none may pass, or a short cut was measured. Also, what is counted is not optimised away.
  if (passed === 0 || passed === rounds * passesPerRound * messageCount) throw new Error(`${filter.expression} decides nothing`)
  return micros.sort((left, right) => left - right)[micros.length >> 1] as number
}

if (process.argv[1]?.endsWith('filter-cost.ts') === true) {
  const { tagMicros, sqlMicros } = measureFilterCost()
  process.stdout.write(`tag ${tagMicros.toFixed(4)} µs, SQL92 of three terms ${sqlMicros.toFixed(4)} µs per message\n`)
}

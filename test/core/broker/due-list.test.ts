// The list of what is due next, against a sorted array.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { DueList } from '../../../core/broker/due-list.ts'
import { compareDelayed, DelayedEntry } from '../../../core/storage/delayed.ts'
import { delayedKey } from '../../../core/storage/keys.ts'
import { idBytes } from './broker-world.ts'

function entryOf(at: number, size = 3): DelayedEntry {
  const deliverMs = Math.floor(at / 4)
  const key = delayedKey(deliverMs, idBytes(at % 4), 0, 0, 1)
  return new DelayedEntry(key, deliverMs, new Uint8Array(size), 0)
}

const none = fc.constant(0)
const someWork = fc.array(fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('add' as const), at: fc.nat(4_000), size: fc.nat(9) }) },
  {
    weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('remove' as const, 'find' as const), at: fc.nat(4_000), size: none }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('shift' as const, 'pop' as const), at: none, size: none }) },
), { maxLength: 600, size: 'max' })

it('gives and finds what a sorted array would, whatever is done to it', () => {
  fc.assert(fc.property(fc.array(fc.nat(4_000), { maxLength: 800, size: 'max' }), someWork, (first, work) => {
    const list = new DueList()
    let model: DelayedEntry[] = []
    const add = (entry: DelayedEntry) => {
      const replaced = model.find((other) => compareDelayed(other, entry) === 0)
      expect(list.add(entry)).toBe(replaced)
      model = [...model.filter((other) => other !== replaced), entry].sort(compareDelayed)
    }
    for (const at of first) add(entryOf(at))
    for (const { kind, at, size } of work) {
      const entry = entryOf(at, size)
      const known = model.find((other) => compareDelayed(other, entry) === 0)
      if (kind === 'add') add(entry)
      else if (kind === 'find') expect(list.find(entry)).toBe(known)
      else if (kind === 'remove') {
        list.remove(entry)
        model = model.filter((other) => other !== known)
      } else if (model.length > 0) expect(list[kind]()).toBe(model[kind]())
      expect([list.first, list.count]).toEqual([model[0], model.length])
      expect(list.byteCount).toBe(model.reduce((sum, { byteCount }) => sum + byteCount, 0))
    }
    const left: DelayedEntry[] = []
    while (list.count > 0) left.push(list.shift())
    expect(left).toEqual(model)
  }), { numRuns: 40 })
})

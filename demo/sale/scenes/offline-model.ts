// The state of the offline scene: the switch, what this device sold and what arrived, counted for order and copies, and the
// notes that tabs of this device exchange.

import { signal } from '@preact/signals'
import { createFrameBatch } from '../../shared/frame-batch.ts'
import { createFailure, createNames, opening, type Sale, sleep } from '../sale.ts'
import { newReader } from '../room.ts'
import { type CounterOrder, cutTheLink, type Note, sell, watch } from './offline.ts'

export interface BookRow extends CounterOrder {
  /** Not at the relay yet. */
  readonly isPending: boolean
  readonly messageId: string
}

/** What came from the relay, by the numbers that sellers gave. */
export interface Arrivals {
  readonly count: number
  readonly twiceCount: number
  readonly disorderCount: number
}

export interface ShownNote extends Note {
  readonly messageId: string
  readonly storedMs: number
}

const shownCountMax = 60

export type OfflineModel = ReturnType<typeof createOfflineModel>

export function createOfflineModel(sale: Sale) {
  const { room } = sale
  const failure = createFailure()
  const noteFailure = createFailure()
  // Of the device, whichever tab has said so.
  const isOffline = signal(room.mq.getSnapshot().isOffline)
  room.mq.subscribe(() => (isOffline.value = room.mq.getSnapshot().isOffline))
  const rows = signal<readonly BookRow[]>([])
  const arrivals = signal<Arrivals>({ count: 0, twiceCount: 0, disorderCount: 0 })
  const notes = signal<readonly ShownNote[]>([])
  const draft = signal('')
  const isSelling = signal(false)
  const seller = createNames()().replace('-1', '')
  const lastNumbers = new Map<string, number>()
  let soldCount = 0

  const batch = createFrameBatch<BookRow>((came) => {
    const byKey = new Map(rows.value.map((row) => [keyOf(row), row]))
    let { count, twiceCount, disorderCount } = arrivals.value
    for (const row of came) {
      const key = keyOf(row)
      const before = byKey.get(key)
      if (!row.isPending) {
        const last = lastNumbers.get(row.seller) ?? 0
        if (before?.isPending === false) twiceCount++
        else if (row.number !== last + 1 && last !== 0) disorderCount++
        lastNumbers.set(row.seller, Math.max(last, row.number))
        count++
        sale.saw({ messageId: row.messageId, home: room.home, label: key })
      }
      // Told as pending behind the relay's own would be a step back.
      if (!(row.isPending && before?.isPending === false)) byKey.set(key, row)
    }
    arrivals.value = { count, twiceCount, disorderCount }
    rows.value = [...byKey.values()].slice(-shownCountMax)
  })

  const noted = createFrameBatch<ShownNote>((more) => {
    notes.value = [...[...more].reverse(), ...notes.value].slice(0, shownCountMax)
  })

  // One group of all that a seller sells: its orders keep their order.
  const opened = opening(failure, () => room.openTopic<CounterOrder>('counter', { messageType: 'FIFO', queueCount: 2 }))
  const notesOpened = opening(noteFailure, () => room.openTopic<Note>('notes', { home: 'device' }))
  void failure.during(async () => {
    watch(await opened, ({ value, pending, messageId }) => batch.add({ ...value, isPending: pending, messageId }))
  })
  void noteFailure.during(async () => {
    const reader = (await notesOpened).consume({
      group: newReader(), mode: 'BROADCASTING', from: { timestampMs: Date.now() - 10 * 60_000 },
    })
    void reader.run(({ value, messageId, storedMs }) => noted.add({ ...value, messageId, storedMs }))
  })

  const sellOne = async (): Promise<void> => sell(await opened, { seller, number: ++soldCount })

  return {
    failure, noteFailure, isOffline, rows, arrivals, notes, draft, isSelling, seller,
    sellOne: () => failure.during(sellOne),
    /** Ten a second until it is pressed again. */
    async sellOn(): Promise<void> {
      isSelling.value = !isSelling.value
      while (isSelling.value && await failure.during(sellOne)) await sleep(100)
      isSelling.value = false
    },
    async switchLink(): Promise<void> {
      await failure.during(() => cutTheLink(room.mq, !isOffline.value))
    },
    async say(): Promise<void> {
      const text = draft.value
      const isSaid = await noteFailure.during(async () => (await notesOpened).send({ tab: room.tabName, text }))
      if (isSaid) draft.value = ''
    },
  }
}

function keyOf({ seller, number }: CounterOrder): string {
  return `${seller} #${number}`
}

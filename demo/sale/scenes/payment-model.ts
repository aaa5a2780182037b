// The state of the payment scene: transactions under way as the broker lists them, the checks this tab answered, and the
// payments that everybody sees.

import { signal } from '@preact/signals'
import type { TransactionInfo, WebTransactionProducer } from '../../../web-client/index.ts'
import { createFrameBatch } from '../../shared/frame-batch.ts'
import { openLedger } from '../ledger.ts'
import { newReader } from '../room.ts'
import { createFailure, createNames, opening, repeat, type Sale } from '../sale.ts'
import { check, type Death, pay, type Payment } from './payment.ts'

export interface CheckAnswer {
  readonly transactionId: string
  readonly verdict: 'commit' | 'rollback'
  readonly atMs: number
}

export interface SeenPayment extends Payment {
  readonly messageId: string
  readonly storedMs: number
}

const shownCountMax = 30
/** Silence after which the broker asks. */
const checkAfter = '2s'

export type PaymentModel = ReturnType<typeof createPaymentModel>

export function createPaymentModel(sale: Sale) {
  const { room } = sale
  // The ledger is this browser's: nobody else could answer for it.
  const producerGroup = room.nameOf(`payers-${room.deviceName.replaceAll(/\W/g, '-')}`)
  const failure = createFailure()
  const halves = signal<readonly TransactionInfo[]>([])
  const checks = signal<readonly CheckAnswer[]>([])
  const payments = signal<readonly SeenPayment[]>([])
  const refusedCount = signal(0)
  const isBusy = signal(false)
  const nextName = createNames()

  const batch = createFrameBatch<SeenPayment>((seen) => {
    payments.value = [...[...seen].reverse(), ...payments.value].slice(0, shownCountMax)
    for (const { messageId, order } of seen) sale.saw({ messageId, home: room.home, label: order })
  })

  const opened = opening(failure, async () => {
    const [topic, ledger] = await Promise.all([room.openTopic<Payment>('payments'), openLedger(room.name)])
    const producer: WebTransactionProducer = room.mq.transactions({
      producerGroup, checkAfter, home: room.home,
      check: async ({ transactionId }) => {
        const verdict = await check(ledger, transactionId)
        checks.value = [{ transactionId, verdict, atMs: Date.now() }, ...checks.value].slice(0, shownCountMax)
        return verdict
      },
    })
    const reader = topic.consume({
      group: newReader(), mode: 'BROADCASTING', from: { timestampMs: Date.now() - 10 * 60_000 },
    })
    void reader.run(({ value, messageId, storedMs }) => batch.add({ ...value, messageId, storedMs }))
    return { topic, ledger, producer }
  })
  repeat(400, async () => {
    halves.value = await room.mq.adminOf(room.home).listTransactions({ producerGroup })
  })

  const newPayment = (): Payment => ({ order: nextName(), amount: 10 + Math.floor(Math.random() * 90) })

  async function payAndMaybeDie(death: Death): Promise<void> {
    await pay(await opened, newPayment(), async (at) => {
      if (at !== death) return
      window.close()
      // Should the browser not close it, nothing goes on here all the same.
      await new Promise<never>(() => {})
    })
  }

  return {
    failure, halves, checks, payments, refusedCount, isBusy, payAndMaybeDie,
    pay: () => busy(() => payAndMaybeDie('never')),
    /** The bank says no in the middle: what throws rolls back. */
    refuse: () => busy(async () => {
      await pay(await opened, newPayment(), async () => {
        throw new Refused()
      }).catch((error: unknown) => {
        if (!(error instanceof Refused)) throw error
        refusedCount.value++
      })
    }),
    /** Another tab pays and is closed in the middle. This one, or any other, will be asked. */
    payInDyingTab(death: Death): void {
      const url = new URL(location.href)
      url.searchParams.set('pay', death)
      window.open(url, '_blank')
    },
  }

  async function busy(work: () => Promise<void>): Promise<void> {
    isBusy.value = true
    await failure.during(work)
    isBusy.value = false
  }
}

class Refused extends Error {}

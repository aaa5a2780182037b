// Starts the demo's page: language and theme, the room that the address names, and its scenes.

import '../shared/theme.css'
import { render } from 'preact'
import { startLanguage } from '../shared/language.ts'
import { startTheme } from '../shared/theme.ts'
import { App, Waiting } from './app.tsx'
import { openRoom, readAddress } from './room.ts'
import { createSale, textOf } from './sale.ts'
import type { Death } from './scenes/payment.ts'
import { DyingPayment } from './scenes/payment-view.tsx'
import { readToken } from './token.ts'

const deaths: readonly Death[] = ['before-ledger', 'after-ledger']

async function start(place: HTMLElement): Promise<void> {
  render(<Waiting />, place)
  try {
    const page = new URL(location.href)
    const sale = createSale(await openRoom(await readAddress(page), readToken))
    // Shown in their scenes: orders that fail on purpose, and filters that make no sense. Others are for developers.
    sale.room.mq.on('error', (error) => {
      if (error.code !== 'HANDLER_FAILED' && error.code !== 'BAD_FILTER') console.error(error)
    })
    const death = deaths.find((one) => one === page.searchParams.get('pay'))
    render(death === undefined ? <App sale={sale} /> : <DyingPayment sale={sale} death={death} />, place)
  } catch (error) {
    render(<Waiting error={textOf(error)} />, place)
  }
}

startTheme()
startLanguage()
const place = document.getElementById('app')
if (place !== null) void start(place)

// The price board: everybody reads everything, from where they like, and only what they asked for.

import type { Filter, From, WebMessage, WebTopic } from '../../../web-client/index.ts'
import { newReader } from '../room.ts'

export interface Price {
  readonly item: string
  readonly price: number
  readonly was: number
}

type Prices = WebTopic<Price>
type Show = (price: WebMessage<Price>) => void

// [shown beside the scene]
export async function tellPrice(prices: Prices, value: Price) {
  const off = Math.round((1 - value.price / value.was) * 100)
  const properties = { price: `${value.price}`, off: `${off}` }
  await prices.send(value, { tag: value.item, properties })
}

export function openBoard(
  prices: Prices, filter: Filter, from: From, show: Show,
) {
  const group = newReader() // of a new name: it begins at `from`
  // `filter` is like 'phone || tea', or { sql: 'off >= 30' }.
  const board = prices.consume({ group, mode: 'BROADCASTING', filter, from })
  void board.run(show)
  return board // `board.subscribed` rejects with what is wrong
}
// [until here]

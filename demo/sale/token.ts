// The token a visitor typed for a relay that asks for one: kept until the tab is closed.

const key = 'pocketmq-sale-token'

export function readToken(): string {
  try {
    return sessionStorage.getItem(key) ?? ''
  } catch {
    return ''
  }
}

/** Takes it up by loading the page anew: the engine asks for a token when it connects. */
export function writeToken(token: string): void {
  sessionStorage.setItem(key, token)
  location.reload()
}

// Tokens from the configuration: whoever shows one of them may do everything. Not how a public relay is run; there,
// give `startRelay` an Authenticate of your own.

import { createHash, timingSafeEqual } from 'node:crypto'
import { PocketError } from '../core/errors.ts'
import { type Authenticate, authenticateAnybody, superuser } from '../core/session/auth.ts'

/** Without tokens everybody is let in. Comparing takes as long for a wrong token as for a right one. */
export function createTokenAuthenticate(tokens: readonly string[]): Authenticate {
  if (tokens.length === 0) return authenticateAnybody
  const digests = tokens.map(digestOf)
  return (token, _info, answer) => {
    const shown = digestOf(token)
    const isKnown = digests.reduce((found, digest) => timingSafeEqual(digest, shown) || found, false)
    const reason = token === '' ? 'this relay asks for a token' : 'the token is not known'
    answer(isKnown ? superuser : new PocketError('UNAUTHENTICATED', reason))
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

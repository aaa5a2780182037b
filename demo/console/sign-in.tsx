// Before there is a relay to look at: connecting, signing in, or why that can't be.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { PocketError } from '../../core/index.ts'
import { Button, Field, Notice } from '../shared/controls.tsx'
import { textOf } from './form.ts'
import type { Operator } from './operator.ts'
import { texts } from './texts.ts'

export function SignIn({ operator }: { operator: Operator }): JSX.Element {
  const t = texts().signIn
  const state = operator.state.value
  return (
    <main id="main" class="alone">
      {state.kind === 'refused'
        ? <Refused operator={operator} error={state.error} />
        : <p role="status">{t.connecting(operator.host)}</p>}
    </main>
  )
}

function Refused({ operator, error }: { operator: Operator; error: PocketError }): JSX.Element {
  const t = texts().signIn
  const [token, setToken] = useState('')
  if (error.code === 'UNAUTHENTICATED') {
    return (
      <form
        class="stack sign-in" onSubmit={(event) => {
          event.preventDefault()
          operator.signIn(token)
        }}
      >
        <p>{t.lead(operator.host)}</p>
        <Field
          label={t.token} type="password" value={token} onInput={setToken} testId="token"
          error={operator.hasToken ? textOf(error) : undefined}
        />
        <Button type="submit" kind="primary" disabled={token === ''} testId="sign-in">{t.go}</Button>
      </form>
    )
  }
  return (
    <div class="stack sign-in">
      {error.code === 'CONNECTION_REFUSED' && <p>{t.unreachable(operator.host)}</p>}
      <Notice>{textOf(error)}</Notice>
      <Button kind="primary" onClick={() => operator.signIn()} testId="try-again">{t.again}</Button>
      <Button onClick={() => operator.signOut()} testId="sign-out">{t.out}</Button>
    </div>
  )
}

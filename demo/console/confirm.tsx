// Asks before something is destroyed: the operator types the name of what will be gone. What the relay says against it is
// shown in the same place.

import { signal } from '@preact/signals'
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Button, Field, Notice } from '../shared/controls.tsx'
import { textOf } from './form.ts'
import { asPocketError } from './operator.ts'
import { texts } from './texts.ts'

export interface Question {
  readonly title: string
  /** What will be gone, and what will not. */
  readonly lead: string
  /** What has to be typed: the name of the topic, group, client. */
  readonly word: string
  /** On the button. */
  readonly action: string
  readonly act: () => Promise<unknown>
}

interface Asked extends Question {
  readonly settle: (isDone: boolean) => void
}

const asked = signal<Asked | undefined>(undefined)

/** Resolves with true once it is done, with false where the operator thought better of it. */
export function confirm(question: Question): Promise<boolean> {
  asked.value?.settle(false)
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      settle(isDone) {
        asked.value = undefined
        resolve(isDone)
      },
    }
  })
}

/** Where the question appears; once on the page. */
export function ConfirmDialog(): JSX.Element | null {
  useEffect(() => {
    // It is about what was shown when it was asked.
    const left = () => asked.value?.settle(false)
    addEventListener('hashchange', left)
    return () => removeEventListener('hashchange', left)
  }, [])
  const question = asked.value
  return question === undefined ? null : <Dialog key={question.title + question.word} question={question} />
}

function Dialog({ question }: { question: Asked }): JSX.Element {
  const t = texts().confirm
  const { title, lead, word, action, act, settle } = question
  const dialog = useRef<HTMLDialogElement>(null)
  const [typed, setTyped] = useState('')
  const [failure, setFailure] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      // Nothing but the dialog can have the focus while it is there. What opened it may be gone, with what it stood for.
      queueMicrotask(() => {
        if (before instanceof HTMLElement && before.isConnected) before.focus()
      })
    }
  }, [])

  async function submit(): Promise<void> {
    setBusy(true)
    setFailure(undefined)
    try {
      await act()
      settle(true)
    } catch (error) {
      setFailure(textOf(asPocketError(error)))
      setBusy(false)
    }
  }

  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" data-testid="confirm" onClose={() => settle(false)}>
      <h2 id="confirm-title">{title}</h2>
      <p>{lead}</p>
      <form
        class="stack" onSubmit={(event) => {
          event.preventDefault()
          if (typed === word && !isBusy) void submit()
        }}
      >
        <Field label={t.type(word)} value={typed} onInput={setTyped} testId="confirm-word" />
        <Notice>{failure}</Notice>
        <div class="actions">
          <Button type="submit" kind="danger" disabled={typed !== word || isBusy} testId="confirm-go">{action}</Button>
          <Button onClick={() => settle(false)} testId="confirm-cancel">{t.cancel}</Button>
        </div>
      </form>
    </dialog>
  )
}

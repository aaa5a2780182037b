// Fields for the name of a topic or a group, with those that the relay has and that hold what is typed.

import type { JSX } from 'preact'
import { useEffect, useId, useState } from 'preact/hooks'
import type { Admin } from '../../core/index.ts'
import { Field, type FieldProps } from '../shared/controls.tsx'

const suggestionCount = 20
const typingPauseMs = 200

type NameFieldProps = Omit<FieldProps, 'listId'> & { readonly admin: Admin }

export function TopicField(props: NameFieldProps): JSX.Element {
  return <NameField {...props} ask={async (text) => (await props.admin.listTopics(pageOf(text))).map(({ topic }) => topic)} />
}

export function GroupField(props: NameFieldProps): JSX.Element {
  return <NameField {...props} ask={async (text) => (await props.admin.listGroups(pageOf(text))).map(({ group }) => group)} />
}

function pageOf(containing: string): { containing: string; max: number } {
  return { containing, max: suggestionCount }
}

function NameField({ ask, admin: _, ...field }: NameFieldProps & { ask: (text: string) => Promise<string[]> }): JSX.Element {
  const id = useId()
  const [names, setNames] = useState<readonly string[]>([])
  useEffect(() => {
    let isOver = false
    const timer = setTimeout(() => {
      // Only a help: what is wrong with the connection is told elsewhere.
      ask(field.value.trim()).then((found) => !isOver && setNames(found), () => {})
    }, typingPauseMs)
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [field.value])
  return (
    <>
      <Field {...field} listId={id} />
      <datalist id={id}>{names.map((name) => <option key={name} value={name} />)}</datalist>
    </>
  )
}

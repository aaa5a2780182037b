// The state of a form: its texts, what is wrong with them, and the request it makes. What the relay or the client says of a
// value is shown beside the field it is about, in their own words.

import { useRef, useState } from 'preact/hooks'
import type { ErrorCode, PocketError } from '../../core/index.ts'
import { asPocketError } from './operator.ts'

export interface Form<F extends string> {
  readonly values: Readonly<Record<F, string>>
  /** What was refused, and belongs to none of the fields. */
  readonly failure: string | undefined
  /** A request is under way. */
  readonly isBusy: boolean
  set(changes: Partial<Record<F, string>>): void
  /** For a `Field`: `{...form.field('topic')}`. */
  field(name: F): {
    readonly value: string
    readonly error: string | undefined
    readonly onInput: (value: string) => void
    readonly testId: string
  }
  /** For a `<form onSubmit>`: makes the request, and places its error. One at a time. */
  submit(request: () => Promise<unknown>): (event: Event) => void
}

/** Fields that a code is about, the first of them that a form has. */
const fieldsOfCodes: Readonly<Partial<Record<ErrorCode, readonly string[]>>> = {
  BAD_FILTER: ['filter'],
  TOPIC_NOT_FOUND: ['topic'],
  TOPIC_EXISTS: ['topic'],
  GROUP_NOT_FOUND: ['group'],
  QUEUE_NOT_FOUND: ['queueId'],
  MESSAGE_NOT_FOUND: ['messageId'],
  OFFSET_OUT_OF_RANGE: ['offset'],
  MESSAGE_TOO_LARGE: ['body'],
  MESSAGE_TYPE_MISMATCH: ['messageGroup'],
}

/** Words by which messages name what a field is called otherwise; the longer ones first. */
const wordsOfFields: Readonly<Record<string, readonly string[]>> = {
  messageGroup: ['messageGroup', 'message group'],
  messageId: ['messageId', 'message id'],
  queueId: ['queueId', 'queue id', 'queue '],
  queueCount: ['queueCount', 'queue count', 'queues'],
  retentionBytes: ['retentionBytes', 'retention bytes'],
  maxAttempts: ['maxAttempts', 'attemptCountMax', 'attempts'],
  maxInFlightPerMember: ['maxInFlightPerMember', 'inFlightPerMemberMax'],
  maxInFlight: ['maxInFlight', 'inFlightMax'],
  retryDelays: ['a delay of retry', 'a retry schedule', 'a retry delay'],
  retryFirst: ['retry.first', 'the first delay'],
  retryFactor: ['factor'],
  retryMax: ['retry.max', 'the longest delay'],
  properties: ['properties', 'property'],
  keys: ['keys', 'key'],
}

/** `initial` is read once. */
export function useForm<F extends string>(initial: Readonly<Record<F, string>>): Form<F> {
  const [values, setValues] = useState(initial)
  const [errors, setErrors] = useState<Partial<Record<F, string>>>({})
  const [failure, setFailure] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const isUnderWay = useRef(false)

  function set(changes: Partial<Record<F, string>>): void {
    setValues((before) => ({ ...before, ...changes }))
    setErrors((before) => ({ ...before, ...Object.fromEntries(Object.keys(changes).map((name) => [name, undefined])) }))
    setFailure(undefined)
  }

  async function run(request: () => Promise<unknown>): Promise<void> {
    if (isUnderWay.current) return
    isUnderWay.current = true
    setBusy(true)
    setErrors({})
    setFailure(undefined)
    try {
      await request()
    } catch (thrown) {
      const error = asPocketError(thrown)
      const field = fieldOf(error, Object.keys(values) as F[])
      if (field === undefined) setFailure(textOf(error))
      else setErrors({ [field]: textOf(error) } as Partial<Record<F, string>>)
    } finally {
      isUnderWay.current = false
      setBusy(false)
    }
  }

  return {
    values, failure, isBusy, set,
    field: (name) => ({
      value: values[name],
      error: errors[name],
      onInput: (value) => set({ [name]: value } as Partial<Record<F, string>>),
      testId: `field-${name}`,
    }),
    submit: (request) => (event) => {
      event.preventDefault()
      void run(request)
    },
  }
}

/** An error for people: what happened, and its code to look it up by. */
export function textOf(error: PocketError): string {
  return `${error.message} (${error.code})`
}

/** The field that an error is about: by its code, else the first that its text names. */
export function fieldOf<F extends string>({ code, message }: PocketError, fields: readonly F[]): F | undefined {
  // Of a message it is the body that is too large, or what goes with it: the text says which.
  const isBeside = code === 'MESSAGE_TOO_LARGE' && message.includes('properties')
  if (isBeside && fields.includes('properties' as F)) return 'properties' as F
  const byCode = fieldsOfCodes[code]?.find((name) => fields.includes(name as F))
  if (byCode !== undefined) return byCode as F
  if (code !== 'BAD_ARGUMENT' && code !== 'BAD_NAME' && code !== 'VALUE_INVALID' && code !== 'LIMIT_EXCEEDED') return undefined
  const text = message.toLowerCase()
  const found = fields
    .flatMap((field) => wordsOf(field).map((word) => ({ field, word, at: text.indexOf(word.toLowerCase()) })))
    .filter(({ at }) => at >= 0)
    // `retentionBytes` is not about `retention`.
    .sort((left, right) => left.at - right.at || right.word.length - left.word.length)
  return found[0]?.field
}

function wordsOf(field: string): readonly string[] {
  return wordsOfFields[field] ?? [field]
}

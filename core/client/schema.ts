// Schemas of values, of whatever library: the part of Standard Schema (https://standardschema.dev, version 1) that is
// needed, written down so that it costs no dependency. A codec with a schema checks what it encodes and decodes.

import { PocketError } from '../errors.ts'
import type { Codec } from './topic-api.ts'

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What fits goes through; what does not is VALUE_INVALID, with the issues as cause. The schema must answer at once. */
export function withSchema<T>(codec: Codec<T>, schema: StandardSchema<unknown, T>): Codec<T> {
  return {
    name: codec.name,
    encode: (value) => codec.encode(checked(schema, value)),
    decode: (body) => checked(schema, codec.decode(body)),
  }
}

function checked<T>(schema: StandardSchema<unknown, T>, value: unknown): T {
  const { vendor, validate } = schema['~standard']
  const result = validate(value)
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new PocketError('BAD_ARGUMENT', `the schema (${vendor}) answers later; one that answers at once is needed`)
  }
  if (result.issues === undefined) return result.value
  const [issue] = result.issues
  const path = (issue?.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.')
  const text = `the value does not fit its schema: ${path === '' ? '' : `${path}: `}${issue?.message ?? 'no reason given'}`
  throw new PocketError('VALUE_INVALID', text, { cause: result.issues })
}

// A confirmation asked for by a form: what the relay refuses is not left in the dialog but thrown at the form, which shows it
// beside the field that it is about.

import { confirm, type Question } from '../confirm.tsx'

/** Resolves with true once it is done, with false where the operator thought better of it; rejects with what `act` threw. */
export async function confirmFor(question: Question): Promise<boolean> {
  const failures: unknown[] = []
  const isDone = await confirm({
    ...question,
    act: () => question.act().catch((error: unknown) => failures.push(error)),
  })
  if (failures.length > 0) throw failures[0]
  return isDone
}

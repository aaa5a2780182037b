// The page of dead-letters.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function DeadLettersPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['dead-letters']} />
}

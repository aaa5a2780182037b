// The page of messages.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function MessagesPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['messages']} />
}

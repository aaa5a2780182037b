// The page of delayed.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function DelayedPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['delayed']} />
}

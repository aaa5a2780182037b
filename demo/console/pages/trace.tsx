// The page of trace.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function TracePage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['trace']} />
}

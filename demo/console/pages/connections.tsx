// The page of connections.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function ConnectionsPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['connections']} />
}

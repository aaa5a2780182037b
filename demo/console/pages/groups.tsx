// The page of groups.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function GroupsPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['groups']} />
}

// The page of topics.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function TopicsPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['topics']} />
}

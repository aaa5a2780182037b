// The page of one topic.

import type { JSX } from 'preact'
import { type DetailProps, PageHead } from '../page.tsx'
import { hrefOf } from '../route.ts'
import { texts } from '../texts.ts'

export function TopicPage({ name }: DetailProps): JSX.Element {
  return <PageHead title={name} parent={{ href: hrefOf('topics'), text: texts().pages.topics }} />
}

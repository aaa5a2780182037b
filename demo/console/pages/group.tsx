// The page of one group.

import type { JSX } from 'preact'
import { type DetailProps, PageHead } from '../page.tsx'
import { hrefOf } from '../route.ts'
import { texts } from '../texts.ts'

export function GroupPage({ name }: DetailProps): JSX.Element {
  return <PageHead title={name} parent={{ href: hrefOf('groups'), text: texts().pages.groups }} />
}

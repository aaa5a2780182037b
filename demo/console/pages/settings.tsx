// The page of settings.

import type { JSX } from 'preact'
import { PageHead, type PageProps } from '../page.tsx'
import { texts } from '../texts.ts'

export function SettingsPage(_: PageProps): JSX.Element {
  return <PageHead title={texts().pages['settings']} />
}

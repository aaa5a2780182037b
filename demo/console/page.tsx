// What every page is given, and its head: where it lies, what it is called, what can be done with the whole of it.

import type { ComponentChildren, JSX } from 'preact'
import type { Client } from '../../core/index.ts'
import type { Pulse } from './pulse.ts'

export interface PageProps {
  readonly client: Client
  /** The relay's figures over the last minutes. */
  readonly pulse: Pulse
}

/** Of a page that shows one topic or group. */
export interface DetailProps extends PageProps {
  readonly name: string
}

export interface PageHeadProps {
  readonly title: string
  /** The list that it is one of. */
  readonly parent?: { readonly href: string; readonly text: string }
  /** One line of what it is about. */
  readonly lead?: ComponentChildren
  readonly actions?: ComponentChildren
}

export function PageHead({ title, parent, lead, actions }: PageHeadProps): JSX.Element {
  return (
    <div class="page-head">
      <div class="page-title">
        {parent !== undefined && <a href={parent.href} class="page-parent">{parent.text}</a>}
        <h2>{title}</h2>
      </div>
      {actions !== undefined && <div class="actions">{actions}</div>}
      {lead !== undefined && <p class="page-lead">{lead}</p>}
    </div>
  )
}

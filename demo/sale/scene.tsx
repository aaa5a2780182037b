// The frame of a scene: its name, what it is about, the scene itself, and the lines of its real source beside it.

import type { ComponentChildren, JSX } from 'preact'
import { language, textsOf } from '../shared/language.ts'
import type { SceneName } from './sale.ts'
import { en, type Texts } from './texts-en.ts'
import { zh } from './texts-zh.ts'

/** The texts of the language shown. */
export function texts(): Texts {
  return textsOf(en, zh)
}

export interface SceneProps {
  readonly name: SceneName
  /** The text of the module that does it. */
  readonly source: string
  readonly children: ComponentChildren
}

export function Scene({ name, source, children }: SceneProps): JSX.Element {
  const t = texts()
  const { name: title, lead } = t.scenes[name]
  return (
    <section class="scene" aria-labelledby={`${name}-title`} data-testid={`scene-${name}`}>
      <div class="scene-head">
        <h2 id={`${name}-title`}>{title}</h2>
        <p>{lead}</p>
      </div>
      <div class="scene-stage">{children}</div>
      <aside class="scene-code" aria-label={t.code}>
        <h3>{t.code} <span>demo/sale/scenes/{name}.ts</span></h3>
        <pre tabIndex={0} lang={language.value === 'en' ? undefined : 'en'}><code>{highlight(shownPart(source))}</code></pre>
      </aside>
    </section>
  )
}

/** Between the two marks. */
function shownPart(source: string): string {
  return /\/\/ \[shown beside the scene\]\n(.*?)\/\/ \[until here\]/s.exec(source)?.[1]?.trimEnd() ?? source
}

const tokenPattern = /(\/\/[^\n]*)|('[^'\n]*'|`[^`]*`)|\b(export|async|function|return|await|const|void|for|of|new|if)\b/g

/** Comments, strings and words of the language stand out; the rest is as it is. */
function highlight(source: string): JSX.Element[] {
  const parts: JSX.Element[] = []
  let end = 0
  for (const match of source.matchAll(tokenPattern)) {
    parts.push(<>{source.slice(end, match.index)}</>)
    const kind = match[1] !== undefined ? 'comment' : match[2] !== undefined ? 'string' : 'word'
    parts.push(<span class={`code-${kind}`}>{match[0]}</span>)
    end = match.index + match[0].length
  }
  return [...parts, <>{source.slice(end)}</>]
}

// The body of a message as JSON, text or hex, whichever fits it; the reader may look at it as another. Long bodies are shown
// in parts, so that a page never stands still over them.

import './body-view.css'
import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { Button } from '../shared/controls.tsx'
import { formatBytes, formatCount, textsOf } from '../shared/language.ts'
import { setOutJson } from './json-text.ts'
import { bodyText, download, isLegible } from './message-file.ts'
import { note } from './notes.tsx'

type View = 'json' | 'text' | 'hex'

const views = ['json', 'text', 'hex'] as const

/** Characters of text, or bytes of hex, shown at once and added at once. */
const textPartLength = 20_000
const hexPartLength = 4_096
/** Further on there are no colours: each is an element. */
const colouredLengthMax = 60_000
const bytesPerLine = 16

const en = {
  views: { json: 'JSON', text: 'Text', hex: 'Hex' }, as: 'Show the body as', body: 'Body', empty: 'The body is empty.',
  more: (left: string) => `Show more (${left} left)`, characters: (count: number) => `${formatCount(count)} characters`,
  copy: 'Copy', copied: 'Copied.', save: 'Download',
  cannotCopy: 'The browser lets nothing be copied here: it takes HTTPS or localhost, and your leave.',
}
const zh: typeof en = {
  views: { json: 'JSON', text: '文本', hex: '十六进制' }, as: '消息体显示方式', body: '消息体', empty: '消息体为空。',
  more: (left) => `显示更多（剩余 ${left}）`, characters: (count) => `${formatCount(count)} 个字符`,
  copy: '复制', copied: '已复制。', save: '下载',
  cannotCopy: '浏览器不允许在此复制：需要 HTTPS 或 localhost，以及您的许可。',
}

/** `name` is that of the file it may be saved as. */
export function BodyView({ body, name }: { body: Uint8Array; name: string }): JSX.Element {
  const t = textsOf(en, zh)
  const text = useMemo(() => bodyText(body), [body])
  const json = useMemo(() => (text === undefined ? undefined : setOutJson(text)), [text])
  const [chosen, choose] = useState<View>()
  const view = chosen ?? (json !== undefined ? 'json' : text !== undefined && isLegible(text) ? 'text' : 'hex')
  const contents: Readonly<Record<View, string | undefined>> = { json, text, hex: '' }
  const suffix = json !== undefined ? 'json' : text !== undefined && isLegible(text) ? 'txt' : 'bin'
  if (body.length === 0) return <p class="hint" data-testid="body-empty">{t.empty}</p>
  return (
    <section class="stack body-view" aria-label={t.body}>
      <div class="panel-head">
        <h4>{t.body} <span class="soft">{formatBytes(body.length)}</span></h4>
        <div class="actions" role="group" aria-label={t.as}>
          {views.map((one) => (
            <Button
              key={one} pressed={one === view} disabled={contents[one] === undefined} onClick={() => choose(one)}
              testId={`body-${one}`}
            >
              {t.views[one]}
            </Button>
          ))}
        </div>
      </div>
      {view === 'hex' ? <Hex body={body} /> : <Text key={view} text={contents[view] ?? ''} isJson={view === 'json'} />}
      <div class="actions">
        <Button testId="body-copy" onClick={() => void copy(view === 'hex' ? hexDigits(body) : contents[view] ?? '', t)}>
          {t.copy}
        </Button>
        <Button testId="body-download" onClick={() => download(`${name}.${suffix}`, body, 'application/octet-stream')}>
          {t.save}
        </Button>
      </div>
    </section>
  )
}

async function copy(text: string, { copied, cannotCopy }: typeof en): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    note(copied)
  } catch {
    note(cannotCopy)
  }
}

function Text({ text, isJson }: { text: string; isJson: boolean }): JSX.Element {
  const t = textsOf(en, zh)
  const [length, setLength] = useState(textPartLength)
  const shown = useMemo(() => {
    if (!isJson) return text.slice(0, length)
    const colouredLength = Math.min(length, colouredLengthMax)
    return [...coloured(text.slice(0, colouredLength)), text.slice(colouredLength, length)]
  }, [text, isJson, length])
  return (
    <>
      <pre class="body-part" tabIndex={0} role="region" aria-label={t.body} data-testid="body-part"><code>{shown}</code></pre>
      <More left={text.length - length} leftText={t.characters} more={() => setLength(length + textPartLength)} />
    </>
  )
}

/** A string, and the colon behind it where it is a name; a word or number. What is cut off within a string stays plain. */
const tokenPattern = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g

/** Names, strings and numbers of JSON stand out. */
function coloured(json: string): (JSX.Element | string)[] {
  const parts: (JSX.Element | string)[] = []
  let end = 0
  for (const match of json.matchAll(tokenPattern)) {
    const [token, string, colon = ''] = match
    const kind = string === undefined ? 'word' : colon === '' ? 'string' : 'name'
    parts.push(json.slice(end, match.index), <span class={`json-${kind}`}>{string ?? token}</span>, colon)
    end = match.index + token.length
  }
  return [...parts, json.slice(end)]
}

function Hex({ body }: { body: Uint8Array }): JSX.Element {
  const t = textsOf(en, zh)
  const [length, setLength] = useState(hexPartLength)
  const shown = useMemo(() => {
    const part = body.subarray(0, length)
    const lineCount = Math.ceil(part.length / bytesPerLine)
    return Array.from({ length: lineCount }, (_, index) => hexLine(part, index * bytesPerLine)).join('\n')
  }, [body, length])
  return (
    <>
      <pre class="body-part" tabIndex={0} role="region" aria-label={t.body} data-testid="body-part"><code>{shown}</code></pre>
      <More left={body.length - length} leftText={formatBytes} more={() => setLength(length + hexPartLength)} />
    </>
  )
}

/** `00000010  7b 22 69 64 …  {"id…`. */
function hexLine(body: Uint8Array, at: number): string {
  const row = [...body.subarray(at, at + bytesPerLine)]
  const bytes = row.map(hexOf).join(' ').padEnd(bytesPerLine * 3 - 1)
  const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
  return `${at.toString(16).padStart(8, '0')}  ${bytes}  ${text}`
}

function hexDigits(body: Uint8Array): string {
  return Array.from(body, hexOf).join('')
}

function hexOf(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

interface MoreProps {
  readonly left: number
  readonly leftText: (left: number) => string
  readonly more: () => void
}

function More({ left, leftText, more }: MoreProps): JSX.Element | null {
  const t = textsOf(en, zh)
  return left <= 0 ? null : <div><Button onClick={more} testId="body-more">{t.more(leftText(left))}</Button></div>
}

// Small components of both pages: buttons, fields with their message beside them, badges, figures, and the bar on top.
// They know nothing of queues; their looks are controls.css.

import './controls.css'
import './layout.css'
import type { ComponentChildren, JSX } from 'preact'
import { useId } from 'preact/hooks'
import { chooseOtherLanguage, formatMoment, language, textsOf } from './language.ts'
import { chooseNextTheme, theme } from './theme.ts'

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'accent'

export interface ButtonProps {
  readonly children: ComponentChildren
  readonly onClick?: () => void
  readonly kind?: 'plain' | 'primary' | 'danger' | 'quiet'
  readonly disabled?: boolean
  readonly type?: 'button' | 'submit'
  /** Where what it says is too short to be understood alone. */
  readonly label?: string
  /** Of a switch: whether it is on. */
  readonly pressed?: boolean
  readonly testId?: string
}

export function Button({
  children, onClick, kind = 'plain', disabled = false, type = 'button', label, pressed, testId,
}: ButtonProps): JSX.Element {
  return (
    <button
      type={type} class={`button button-${kind}`} disabled={disabled} onClick={onClick} aria-label={label}
      aria-pressed={pressed} data-testid={testId}
    >
      {children}
    </button>
  )
}

export interface FieldProps {
  readonly label: string
  readonly value: string
  readonly onInput: (value: string) => void
  /** What is wrong with the value, beside the field. */
  readonly error?: string | undefined
  readonly hint?: string
  readonly type?: 'text' | 'number' | 'search' | 'password' | 'datetime-local'
  /** More than one line. */
  readonly rowCount?: number
  readonly placeholder?: string
  readonly disabled?: boolean
  /** Of a `datalist` with what may be meant. */
  readonly listId?: string
  readonly testId?: string
}

/** A labelled input. Its error is announced and tied to it. */
export function Field({
  label, value, onInput, error, hint, type = 'text', rowCount, placeholder, disabled, listId, testId,
}: FieldProps): JSX.Element {
  const id = useId()
  const noteId = `${id}-note`
  const note = error ?? hint
  const common = {
    id, value, placeholder, disabled,
    'aria-invalid': error !== undefined,
    'aria-describedby': note === undefined ? undefined : noteId,
    'data-testid': testId,
    spellcheck: false,
    autocomplete: 'off',
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {rowCount === undefined
        ? (
          <input
            {...common} type={type} list={listId} step={type === 'datetime-local' ? 1 : undefined}
            onInput={(event) => onInput(event.currentTarget.value)}
          />
        )
        : <textarea {...common} rows={rowCount} onInput={(event) => onInput(event.currentTarget.value)} />}
      <p id={noteId} class={error === undefined ? 'field-hint' : 'field-error'} role={error === undefined ? undefined : 'alert'}>
        {note}
      </p>
    </div>
  )
}

export interface ChoiceProps<T extends string> {
  readonly label: string
  readonly value: T
  readonly options: readonly { readonly value: T; readonly text: string }[]
  readonly onChange: (value: T) => void
  readonly testId?: string
}

/** One of a few, as the platform's own list. */
export function Choice<T extends string>({ label, value, options, onChange, testId }: ChoiceProps<T>): JSX.Element {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} data-testid={testId} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {options.map((option) => <option key={option.value} value={option.value}>{option.text}</option>)}
      </select>
    </div>
  )
}

export function Badge({ tone = 'plain', children }: { tone?: Tone; children: ComponentChildren }): JSX.Element {
  return <span class={`badge tone-${tone}`}>{children}</span>
}

/** A time as people read it, with the whole of it for machines and for who asks. */
export function Moment({ timeMs }: { timeMs: number }): JSX.Element {
  const iso = new Date(timeMs).toISOString()
  return <time dateTime={iso} title={iso}>{formatMoment(timeMs)}</time>
}

/** A number and what it counts. */
export function Figure({ label, value, tone = 'plain', testId }: {
  label: string
  value: ComponentChildren
  tone?: Tone
  testId?: string
}): JSX.Element {
  return (
    <div class={`figure tone-${tone}`}>
      <dd data-testid={testId}>{value}</dd>
      <dt>{label}</dt>
    </div>
  )
}

/** Figures in a row. */
export function Figures({ children }: { children: ComponentChildren }): JSX.Element {
  return <dl class="figures">{children}</dl>
}

/** What went wrong, announced. Nothing where nothing did. */
export function Notice({ tone = 'bad', children }: { tone?: Tone; children?: ComponentChildren }): JSX.Element | null {
  if (children === undefined || children === null || children === '') return null
  return <p class={`notice tone-${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>{children}</p>
}

/** A part of a page with its heading. */
export function Panel({ title, children, actions }: {
  title: string
  children: ComponentChildren
  actions?: ComponentChildren
}): JSX.Element {
  return (
    <section class="panel">
      <div class="panel-head">
        <h3>{title}</h3>
        {actions}
      </div>
      {children}
    </section>
  )
}

const en = {
  theme: { auto: 'Theme: as the system', light: 'Theme: light', dark: 'Theme: dark' },
  otherLanguage: '中文',
  otherLanguageLabel: '切换到中文',
  skip: 'Skip to the content',
}
const zh: typeof en = {
  theme: { auto: '主题：跟随系统', light: '主题：浅色', dark: '主题：深色' },
  otherLanguage: 'English',
  otherLanguageLabel: 'Switch to English',
  skip: '跳到正文',
}
const themeSigns = { auto: '◐', light: '☀', dark: '☾' } as const

/** The bar on top of a page: its name, what it says of the state of things, and the switches of theme and language. */
export function TopBar({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <header class="top-bar">
      <a class="skip-link" href="#main">{t.skip}</a>
      <div class="top-bar-title">
        <span class="mark" aria-hidden="true" />
        <h1>{title}</h1>
      </div>
      <div class="top-bar-state">{children}</div>
      <div class="top-bar-switches">
        <button
          type="button" class="button button-quiet" onClick={chooseOtherLanguage} aria-label={t.otherLanguageLabel}
          lang={language.value === 'en' ? 'zh-CN' : 'en'} data-testid="language"
        >
          {t.otherLanguage}
        </button>
        <button
          type="button" class="button button-quiet icon" onClick={chooseNextTheme} aria-label={t.theme[theme.value]}
          title={t.theme[theme.value]} data-testid="theme"
        >
          <span aria-hidden="true">{themeSigns[theme.value]}</span>
        </button>
      </div>
    </header>
  )
}

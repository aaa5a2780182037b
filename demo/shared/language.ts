// The language of the pages: as the visitor chose, else as the browser asks. Texts are plain objects, one per language, of
// one type, so that a text that is missing in one of them does not compile.

import { effect, signal } from '@preact/signals'
import { readSetting, writeSetting } from './settings.ts'

export type Language = 'en' | 'zh-CN'

/** The language shown. Whoever reads it while rendering is rendered anew when it changes. */
export const language = signal<Language>('en')

/** The texts of the language shown. `const t = textsOf(en, zh)` in a component. */
export function textsOf<T>(en: T, zh: T): T {
  return language.value === 'en' ? en : zh
}

export function chooseOtherLanguage(): void {
  language.value = language.value === 'en' ? 'zh-CN' : 'en'
}

/** Takes up what was chosen before, and keeps the page's `lang` right. Called once by a page. */
export function startLanguage(): void {
  const wanted = readSetting('language') ?? navigator.language
  language.value = wanted.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
  effect(() => {
    document.documentElement.lang = language.value
    writeSetting('language', language.value)
  })
}

/** A whole number as the language writes it: `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString(language.value)
}

/** A time of day with its seconds: `14:05:09`. */
export function formatTime(timeMs: number): string {
  return new Date(timeMs).toLocaleTimeString(language.value, { hourCycle: 'h23' })
}

/** A span of time in the unit that suits it: `3 ms`, `1.2 s`, `5 min`, `36 h`, `9 d`. */
export function formatSpan(spanMs: number): string {
  if (spanMs < 1) return `${spanMs.toFixed(1)} ms`
  if (spanMs < 1000) return `${Math.round(spanMs)} ms`
  if (spanMs < 60_000) return `${(spanMs / 1000).toFixed(1)} s`
  if (spanMs < 2 * 3_600_000) return `${Math.round(spanMs / 60_000)} min`
  if (spanMs < 2 * 86_400_000) return `${Math.round(spanMs / 3_600_000)} h`
  return `${Math.round(spanMs / 86_400_000)} d`
}

/** A date with its time of day, to the second; the date is left out for times of today. */
export function formatMoment(timeMs: number): string {
  const date = new Date(timeMs)
  if (date.toDateString() === new Date().toDateString()) return formatTime(timeMs)
  return date.toLocaleString(language.value, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' })
}

/** A size in the unit that suits it: `512 B`, `1.5 MiB`. */
export function formatBytes(byteCount: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let index = 0
  for (; byteCount >= 1024 && index < units.length - 1; index++) byteCount /= 1024
  return `${index === 0 || byteCount >= 100 ? Math.round(byteCount) : byteCount.toFixed(1)} ${units[index]}`
}

/** The largest unit that loses nothing, as a form takes it again: `72h`, `90s`, `1500ms`. */
export function formatDuration(durationMs: number): string {
  const units = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1_000]] as const
  const found = units.find(([, unitMs]) => durationMs >= unitMs && durationMs % unitMs === 0)
  return found === undefined ? `${durationMs}ms` : `${durationMs / found[1]}${found[0]}`
}

// Light or dark: as the system says, or as the visitor chose. What it comes to stands at the root element, where theme.css
// looks; the choice is remembered by this browser.

import { effect, signal } from '@preact/signals'
import { readSetting, writeSetting } from './settings.ts'

export type Theme = 'auto' | 'light' | 'dark'

const themes: readonly Theme[] = ['auto', 'light', 'dark']

/** What was chosen; `auto` follows the system. */
export const theme = signal<Theme>('auto')

/** Whether dark is shown now, by choice or by the system: for what is drawn in colours that CSS can't change. */
export const isDark = signal(false)

/** Goes on to the next: auto, light, dark. */
export function chooseNextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length] as Theme
}

/** Takes up what was chosen before, and keeps to it from now on. Called once by a page. */
export function startTheme(): void {
  const kept = readSetting('theme')
  theme.value = themes.find((one) => one === kept) ?? 'auto'
  const system = matchMedia('(prefers-color-scheme: dark)')
  const isSystemDark = signal(system.matches)
  system.addEventListener('change', ({ matches }) => (isSystemDark.value = matches))
  effect(() => {
    isDark.value = theme.value === 'dark' || (theme.value === 'auto' && isSystemDark.value)
    document.documentElement.dataset.theme = isDark.value ? 'dark' : 'light'
    writeSetting('theme', theme.value)
  })
}

// What a visitor chose for the looks of the pages, and what this browser is called, in its localStorage; nothing where it keeps
// nothing.

type SettingName = 'theme' | 'language' | 'device'

export function readSetting(name: SettingName): string | undefined {
  try {
    return localStorage.getItem(`pocketmq-pages:${name}`) ?? undefined
  } catch {
    // Storage is switched off.
    return undefined
  }
}

export function writeSetting(name: SettingName, value: string): void {
  try {
    localStorage.setItem(`pocketmq-pages:${name}`, value)
  } catch {
    // It lasts as long as the page, then.
  }
}

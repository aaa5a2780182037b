// What a visitor chose for the looks of the pages, in this browser's localStorage; nothing where the browser keeps nothing.

type SettingName = 'theme' | 'language'

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

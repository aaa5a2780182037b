// JSON set out over lines for people. Every name, number and string stays as it was sent: parsing and writing it anew would
// round long numbers, and drop all but the last of equal names.

const indent = '  '

/** Set out over lines; undefined where the text is no JSON. */
export function setOutJson(text: string): string | undefined {
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  const parts: string[] = []
  let depth = 0
  for (let at = 0; at < text.length;) {
    const end = tokenEnd(text, at)
    const token = text.slice(at, end)
    at = end
    if (token === '{' || token === '[') {
      const next = skipBlanks(text, at)
      const isEmpty = text[next] === '}' || text[next] === ']'
      parts.push(token, isEmpty ? text[next] as string : lineAt(++depth))
      if (isEmpty) at = next + 1
    } else if (token === '}' || token === ']') parts.push(lineAt(--depth), token)
    else if (token === ',') parts.push(token, lineAt(depth))
    else if (token === ':') parts.push(': ')
    else if (!isBlank(token)) parts.push(token)
  }
  return parts.join('')
}

/** Where the string, number, word, sign or blank that begins at `at` is over. The text is JSON. */
function tokenEnd(text: string, at: number): number {
  if (text[at] === '"') {
    let end = at + 1
    while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1
    return end + 1
  }
  let end = at + 1
  if (isSign(text[at]) || isBlank(text[at])) return end
  while (end < text.length && !isSign(text[end]) && !isBlank(text[end])) end++
  return end
}

function skipBlanks(text: string, at: number): number {
  while (isBlank(text[at])) at++
  return at
}

function isSign(character: string | undefined): boolean {
  return character !== undefined && '{}[],:'.includes(character)
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\n' || character === '\r' || character === '\t'
}

/** What lies very deep is indented no further, or the blanks would outgrow the text. */
function lineAt(depth: number): string {
  return `\n${indent.repeat(Math.min(depth, 40))}`
}

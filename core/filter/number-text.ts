// Numbers as text: what in a property counts as one. Whole numbers of up to 19 digits are exact (bigint where a double
// would round them), everything else is a double, as in RocketMQ (long, else double). JavaScript compares doubles and
// bigints by value, so the two never need to be told apart.

/** A text that is longer is no number, whatever it says. */
const textSizeMax = 64
/** So many digits are exact in a double, and so is the power of ten they are divided by. */
const exactDigitCount = 15
const wholeDigitCountMax = 19
const longMax = 2n ** 63n - 1n
const numberForm = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/
const wholeForm = /^([+-]?)0*(\d+)$/
const powersOfTen = Array.from({ length: exactDigitCount + 1 }, (_, power) => Number(`1e${power}`))

/** The number of a text, or undefined where it is none, is too long or is too large for a double. */
export function parseNumber(text: string): number | bigint | undefined {
  if (text.length > textSizeMax || !numberForm.test(text)) return undefined
  const whole = wholeForm.exec(text)
  if (whole !== null && (whole[2] as string).length <= wholeDigitCountMax) {
    const value = Number(text)
    if (Number.isSafeInteger(value)) return value
    const exact = BigInt(whole[2] as string)
    return whole[1] === '-' ? -exact : exact
  }
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

/** Whether a whole number is kept exactly and is one of Java's longs, the lowest aside. */
export function isExactNumber(value: number | bigint): boolean {
  return typeof value === 'bigint' ? value <= longMax && value >= -longMax : Number.isSafeInteger(value)
}

/** The number in `source[start, end)`, or NaN where there is none. Texts of few digits are read without an allocation. */
export function numberAt(source: Uint8Array, start: number, end: number): number | bigint {
  let at = start
  const first = source[at] as number
  const hasSign = start < end && (first === 0x2d || first === 0x2b)
  if (hasSign) at++
  const digitsStart = at
  let value = 0
  let digitCount = 0
  let fractionCount = 0
  for (; at < end; at++) {
    const digit = (source[at] as number) - 0x30
    if (digit >>> 0 > 9) break
    value = value * 10 + digit
  }
  digitCount = at - digitsStart
  if (at < end && source[at] === 0x2e) {
    const fractionStart = ++at
    for (; at < end; at++) {
      const digit = (source[at] as number) - 0x30
      if (digit >>> 0 > 9) break
      value = value * 10 + digit
    }
    fractionCount = at - fractionStart
    digitCount += fractionCount
  }
  if (digitCount === 0) return Number.NaN
  if (at < end || digitCount > exactDigitCount) return parseNumber(textAt(source, start, end)) ?? Number.NaN
  // Both are exact, so the quotient is the double nearest to what the text says.
  if (fractionCount > 0) value /= powersOfTen[fractionCount] as number
  return hasSign && first === 0x2d ? -value : value
}

/** Bytes as characters: what is not ASCII is in no number. One more than allowed tells that it is too long. */
function textAt(source: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let at = start; at < end && text.length <= textSizeMax; at++) text += String.fromCharCode(source[at] as number)
  return text
}

// One line on stderr that says what is being measured; on a terminal it is written over, elsewhere each is a line.

export interface Progress {
  show(line: string): void
  /** Leaves the line empty for what follows. */
  clear(): void
}

export function createProgress(output: NodeJS.WriteStream): Progress {
  const eraseLine = '\r\u001b[2K'
  return {
    show(line) {
      if (output.isTTY) output.write(`${eraseLine}${line.slice(0, output.columns - 1)}`)
      else output.write(`${line}\n`)
    },
    clear() {
      if (output.isTTY) output.write(eraseLine)
    },
  }
}

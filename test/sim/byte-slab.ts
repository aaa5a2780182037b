// Memory for many small byte arrays that are filled at once: cut from large pieces, as an allocation of its own costs
// more than what a simulated disk or network does with one. What is cut ends where it ends: no view reaches another.

const pieceBytes = 64 * 1024
/** What is larger has memory of its own. */
const cutBytesMax = 4 * 1024

export class ByteSlab {
  #piece = new Uint8Array(0)
  #usedBytes = 0

  /** A copy that shares no bytes with anything. */
  copy(bytes: Uint8Array): Uint8Array {
    const copied = this.#cut(bytes.length)
    copied.set(bytes)
    return copied
  }

  /** Copies of all chunks, one behind the other. */
  concat(chunks: readonly Uint8Array[]): Uint8Array {
    let byteCount = 0
    for (const { length } of chunks) byteCount += length
    const joined = this.#cut(byteCount)
    let position = 0
    for (const chunk of chunks) {
      joined.set(chunk, position)
      position += chunk.length
    }
    return joined
  }

  #cut(byteCount: number): Uint8Array {
    if (byteCount > cutBytesMax) return new Uint8Array(byteCount)
    if (this.#usedBytes + byteCount > this.#piece.length) {
      this.#piece = new Uint8Array(pieceBytes)
      this.#usedBytes = 0
    }
    const start = this.#usedBytes
    this.#usedBytes += byteCount
    return this.#piece.subarray(start, this.#usedBytes)
  }
}

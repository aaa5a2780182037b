// Copies of many small pieces of bytes. An ArrayBuffer of its own costs 1.7 µs apiece, most of the time that reading a
// small entry takes; a piece of a shared one costs a quarter of that and less.

const slabBytes = 32 * 1024
/** Larger pieces get memory of their own: a piece that is kept for long keeps all of its slab. */
const pieceBytesMax = 2 * 1024
/** Up to here a loop is faster than making the view that `set` takes. */
const loopBytesMax = 32

/**
 * Copies `source[start, end)`. What it gives stays as it is for as long as somebody has it; its ArrayBuffer may be
 * shared with other pieces, so it must not be transferred.
 */
export type CopyBytes = (source: Uint8Array, start: number, end: number) => Uint8Array

/** A copier with a slab of its own, for sources that mostly lie in the same buffer. */
export function createSlabCopier(): CopyBytes {
  let slab = new Uint8Array(slabBytes)
  let used = 0
  // Of the buffer of the source before: one view for many copies. And no Buffer, whose `slice` copies nothing.
  let view: Uint8Array = new Uint8Array(0)
  return (source, start, end) => {
    if (view.buffer !== source.buffer) view = new Uint8Array(source.buffer)
    const size = end - start
    const from = source.byteOffset + start
    if (size > pieceBytesMax) return view.slice(from, from + size)
    if (size > slabBytes - used) {
      slab = new Uint8Array(slabBytes)
      used = 0
    }
    const at = used
    if (size > loopBytesMax) slab.set(view.subarray(from, from + size), at)
    else for (let index = 0; index < size; index++) slab[at + index] = view[from + index] as number
    used += size
    return slab.subarray(at, used)
  }
}

// Web Locks in memory, as far as hosts use them: exclusive and shared requests in the order of the queue, aborted requests,
// stolen locks, and what is held. https://w3c.github.io/web-locks/

interface Request {
  readonly name: string
  readonly mode: LockMode
  readonly callback: (lock: Lock | null) => unknown
  readonly settle: { resolve(value: unknown): void; reject(error: unknown): void }
}

export class FakeLocks {
  readonly #held = new Map<string, Request[]>()
  readonly #queues = new Map<string, Request[]>()

  /** The same door for everybody: what `navigator.locks` is. */
  readonly manager = {
    request: (name: string, ...rest: unknown[]) => this.#request(name, ...rest),
    query: async () => ({ held: [...this.#held.values()].flat().map(({ name, mode }) => ({ name, mode })), pending: [] }),
  } as unknown as LockManager

  isHeld(name: string): boolean {
    return this.#list(this.#held, name).length > 0
  }

  #request(name: string, ...rest: unknown[]): Promise<unknown> {
    const callback = rest.pop() as Request['callback']
    const { mode = 'exclusive', signal, steal = false } = (rest[0] ?? {}) as LockOptions
    return new Promise((resolve, reject) => {
      const request: Request = { name, mode, callback, settle: { resolve, reject } }
      if (signal?.aborted) return reject(abortError())
      signal?.addEventListener('abort', () => {
        const queue = this.#list(this.#queues, name)
        if (!queue.includes(request)) return
        queue.splice(queue.indexOf(request), 1)
        reject(abortError())
        this.#grant(name)
      })
      if (steal) {
        for (const stolen of this.#list(this.#held, name).splice(0)) stolen.settle.reject(abortError())
        this.#list(this.#queues, name).unshift(request)
      } else this.#list(this.#queues, name).push(request)
      queueMicrotask(() => this.#grant(name))
    })
  }

  #grant(name: string): void {
    const held = this.#list(this.#held, name)
    const queue = this.#list(this.#queues, name)
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const isFree = held.length === 0 || (first.mode === 'shared' && held.every((request) => request.mode === 'shared'))
      if (!isFree) return
      queue.shift()
      held.push(first)
      void this.#run(first)
    }
  }

  async #run(request: Request): Promise<void> {
    try {
      request.settle.resolve(await request.callback({ name: request.name, mode: request.mode }))
    } catch (error) {
      request.settle.reject(error)
    }
    const held = this.#list(this.#held, request.name)
    if (held.includes(request)) held.splice(held.indexOf(request), 1)
    this.#grant(request.name)
  }

  #list(lists: Map<string, Request[]>, name: string): Request[] {
    const list = lists.get(name) ?? []
    lists.set(name, list)
    return list
  }
}

function abortError(): DOMException {
  return new DOMException('The request was aborted', 'AbortError')
}

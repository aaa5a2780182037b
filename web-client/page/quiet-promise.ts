// A promise with both its ends in hand. Nobody has to wait for it: where it fails unheard, nothing happens.

export class QuietPromise<T = void> {
  resolve: (value: T) => void = ignore
  reject: (error: unknown) => void = ignore
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })

  constructor() {
    this.promise.catch(ignore)
  }
}

export function ignore(): void {}

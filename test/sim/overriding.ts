// Stands in front of an object and does some of its methods otherwise: how taps listen and planted bugs interfere, with
// no switch in the product and without naming every method there is.

/** `target`, but for what `others` has. Methods of `target` run on it itself, whose private fields a stand-in lacks. */
export function overriding<T extends object>(target: T, others: Partial<T>): T {
  const bound = new Map<PropertyKey, unknown>()
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(others, name)) return Reflect.get(others, name)
      const known = bound.get(name)
      if (known !== undefined) return known
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method: unknown = value.bind(target)
      bound.set(name, method)
      return method
    },
  })
}

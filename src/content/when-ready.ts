/** Steps that wait only when necessary: in a storm, a promise costs as much as the step itself. */

/** Calls `go` with `value`: at once when it is available, otherwise once its promise resolves. */
export function whenReady<T, R>(value: T | Promise<T>, go: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(go) : go(value);
}

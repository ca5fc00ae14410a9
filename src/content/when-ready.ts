/** Steps that wait only where there is something to wait for: in a storm, a promise costs as much as the step itself. */

/** Goes on with `value`: at once if it is here, else when it comes. */
export function whenReady<T, R>(value: T | Promise<T>, go: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(go) : go(value);
}

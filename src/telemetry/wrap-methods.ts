/** The same object with something around each of its methods, whatever its contract. */

export type Method = (...parameters: unknown[]) => unknown;

/**
 * A copy whose methods are what `wrap` makes of them. What is not a method is passed on as it is.
 * @param wrap given a method's name and the method, which needs no `this`
 */
export function wrapMethods<Wrapped extends object>(
  object: Wrapped,
  wrap: (name: string, method: Method) => Method,
): Wrapped {
  const members = Object.entries(object).map(([name, member]: [string, unknown]) => [
    name,
    typeof member === 'function' ? wrap(name, member.bind(object)) : member,
  ]);
  return Object.fromEntries(members);
}

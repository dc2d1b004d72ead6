/**
 * Fields of a body as clients of OpenAI's send them, read one by one: null stands for a field that is left out, and what is
 * wrong is refused with the name of the field.
 */

import { type Fields, isObject, unsupported, wrong } from './input-items.ts';

/** Bounds of a number, both allowed. */
interface Bounds {
  min: number;
  max: number;
}

export interface BodyFields {
  /** Undefined where the field is left out, as with the others. */
  text(name: string, maxCharacters?: number): string | undefined;
  flag(name: string): boolean | undefined;
  number(name: string, bounds: Bounds): number | undefined;
  integer(name: string, bounds: Bounds): number | undefined;
  oneOf<Value extends string>(name: string, values: readonly Value[]): Value | undefined;
  object(name: string): Fields | undefined;
  list(name: string): readonly unknown[] | undefined;
  /** Throws for a field of another name. */
  only(names: readonly string[]): void;
  /** How a field of the object is called in errors: with the place of the object before it. */
  paramOf(name: string): string;
}

/** @param place of the object in the body, such as `text.format`; empty for the body itself */
export function bodyFields(body: Fields, place = ''): BodyFields {
  return { text, flag, number, integer, oneOf, object, list, only, paramOf };

  function text(name: string, maxCharacters = Infinity): string | undefined {
    const value = given(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'string') throw wrong(paramOf(name), 'must be a text');
    if (value.length > maxCharacters) {
      throw wrong(paramOf(name), `must not have more than ${maxCharacters} characters`);
    }
    return value;
  }

  function flag(name: string): boolean | undefined {
    const value = given(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw wrong(paramOf(name), 'must be true or false');
  }

  function number(name: string, { min, max }: Bounds): number | undefined {
    const value = given(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw wrong(paramOf(name), `must be a number from ${min} to ${max}`);
  }

  function integer(name: string, bounds: Bounds): number | undefined {
    const value = number(name, bounds);
    if (value === undefined || Number.isInteger(value)) return value;
    throw wrong(paramOf(name), 'must be an integer');
  }

  function oneOf<Value extends string>(name: string, values: readonly Value[]): Value | undefined {
    const value = given(name);
    if (value === undefined) return undefined;
    const known = values.find((one) => one === value);
    if (known === undefined) throw wrong(paramOf(name), `must be one of ${values.join(', ')}`);
    return known;
  }

  function object(name: string): Fields | undefined {
    const value = given(name);
    if (value === undefined || isObject(value)) return value;
    throw wrong(paramOf(name), 'must be an object');
  }

  function list(name: string): readonly unknown[] | undefined {
    const value = given(name);
    if (value === undefined || Array.isArray(value)) return value;
    throw wrong(paramOf(name), 'must be a list');
  }

  function only(names: readonly string[]): void {
    const other = Object.keys(body).find((name) => given(name) !== undefined && !names.includes(name));
    if (other !== undefined) throw unsupported(paramOf(other), `${paramOf(other)} is not supported`);
  }

  function paramOf(name: string): string {
    return place === '' ? name : `${place}.${name}`;
  }

  function given(name: string): unknown {
    return Object.hasOwn(body, name) ? (body[name] ?? undefined) : undefined;
  }
}

/** Without the fields that are undefined. */
export function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

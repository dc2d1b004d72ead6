/** Query strings, with `metadata[key]=value` read as a field of the object `metadata`. */

import { parse } from 'node:querystring';

/** No call takes more parameters than this; what follows is not read. */
const MAX_PARAMETERS = 100;

export function parseQueryString(text: string): Record<string, unknown> {
  const query: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(parse(text, '&', '=', { maxKeys: MAX_PARAMETERS }))) {
    const [, object, key] = /^([a-z_]+)\[(.+)\]$/s.exec(name) ?? [];
    if (object === undefined || key === undefined) {
      query[name] = value;
      continue;
    }
    const before = query[object];
    // What is a text as well is no object; as a text it is refused.
    if (typeof before === 'string' || Array.isArray(before)) continue;
    query[object] = { ...(before as object | undefined), [key]: value };
  }
  return query;
}

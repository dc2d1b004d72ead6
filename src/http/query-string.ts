/** Query strings, with `metadata[key]=value` read as a field of the object `metadata`. */

import { parse } from 'node:querystring';

/** No call takes more parameters than this; what follows is not read. */
const MAX_PARAMETERS = 100;

export function parseQueryString(text: string): Record<string, unknown> {
  const query: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(parse(text, '&', '=', { maxKeys: MAX_PARAMETERS }))) {
    const [, object, key] = /^([a-z_]+)\[(.+)\]$/s.exec(name) ?? [];
    if (object === undefined || key === undefined) query[name] = value;
    else query[object] = { ...(query[object] as object | undefined), [key]: value };
  }
  return query;
}

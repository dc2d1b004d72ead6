/** A Lua script as a value: its text, and the digest by which the server knows it once it has seen the text. */

import { createHash } from 'node:crypto';

export interface Script {
  readonly source: string;
  /** What EVALSHA calls it by. */
  readonly digest: string;
}

export function script(source: string): Script {
  return { source, digest: createHash('sha1').update(source).digest('hex') };
}

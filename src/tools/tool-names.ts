/**
 * The names of tools: for people `server.tool`, and for models, which take few characters and not many of them, a form
 * that two tools never share, whatever their servers call them.
 */

import { createHash } from 'node:crypto';

/** What every provider takes as the name of a function. */
const MODEL_NAME_MAX = 64;
/** 64 bits: the chance that two of a million tools collide is one in forty million. */
const HASH_LENGTH = 16;

/** The name for people, logs and sessions. The server's part ends at the first dot. */
export function shownToolName(server: string, tool: string): string {
  return `${server}.${tool}`;
}

/**
 * The name for models: 1 to 64 of the characters a–z, A–Z, 0–9, `_` and `-`. The same pair always has the same name,
 * and two pairs never have one name but for a collision of 64 bits.
 *
 * It is `server__tool` where that can be read back in one way only, and else as much of it as there is room for, with a
 * hash of both. The first form has two underscores in a row and the second has none, so that neither can be taken for
 * the other.
 */
export function modelToolName(server: string, tool: string): string {
  const plain = `${server}__${tool}`;
  const readable =
    plain.length <= MODEL_NAME_MAX &&
    /^[a-zA-Z0-9_-]+$/.test(plain) &&
    server !== '' &&
    tool !== '' &&
    // The first pair of underscores must be the one between them.
    plain.indexOf('__') === server.length;
  return readable ? plain : hashedName(server, tool);
}

function hashedName(server: string, tool: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([server, tool]))
    .digest('hex')
    .slice(0, HASH_LENGTH);
  const words = `${server}_${tool}`.replace(/[^a-zA-Z0-9-]+/g, '_');
  return `${words.slice(0, MODEL_NAME_MAX - HASH_LENGTH - 1)}-${hash}`;
}

/** Who may administer: whoever has the token. */

import { createHash, timingSafeEqual } from 'node:crypto';

/** Whether a text is the token, compared in constant time; nothing is if there is none. */
export function isAdminToken(token: string | null): (given: string) => boolean {
  const expected = token === null ? null : digest(token);
  // Of equal length whatever was given.
  return (given) => expected !== null && timingSafeEqual(digest(given), expected);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** What servers share beside the store, and how it stands with it. */

import type { SharedPart } from '../http/rooms.ts';

type IsReached = (() => boolean) | null;

/** Each part tells whether it can be reached; null where servers do not share it. */
export function sharedParts(parts: Record<SharedPart['part'], IsReached>): SharedPart[] {
  return Object.entries(parts).flatMap(([part, isReached]) =>
    isReached === null ? [] : [{ part: part as SharedPart['part'], isReached: isReached() }],
  );
}

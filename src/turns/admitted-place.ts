/** A place in the line of a session, with the slot that its turn takes of those its client has. */

import type { Slot, Slots } from '../limits/slots.ts';
import type { Place } from './session-queue.ts';

export interface AdmittedPlace extends Omit<Place, 'leave'> {
  /** Lets the next one in at once; resolves when the slot is free for other servers as well. Never rejects. */
  leave(): Promise<void>;
}

/**
 * Takes a slot to the place; null, and the place is left, if none is free. Rejects as `Slots.take` does.
 * @param most how many turns of the client may run at the same time; null without a limit
 */
export async function withSlot(
  place: Place,
  slots: Slots,
  owner: string,
  most: number | null,
): Promise<AdmittedPlace | null> {
  if (most === null) return { ...place, leave: async () => place.leave() };
  let slot: Slot | null = null;
  try {
    slot = await slots.take(owner, most);
  } finally {
    if (slot === null) place.leave();
  }
  return slot && { ...place, leave: () => leaveBoth(place, slot) };
}

async function leaveBoth(place: Place, slot: Slot): Promise<void> {
  const isFree = slot.release();
  place.leave();
  await isFree;
}

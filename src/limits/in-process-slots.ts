/** The slots of a server that is alone: a number for each identity that has something going on. */

import type { Slots } from './slots.ts';

export function createInProcessSlots(): Slots {
  const taken = new Map<string, number>();
  return {
    async take(identity, most) {
      const count = taken.get(identity) ?? 0;
      if (count >= most) return null;
      taken.set(identity, count + 1);
      let held = true;
      return {
        async release() {
          if (held) giveBack(identity);
          held = false;
        },
      };
    },
  };

  function giveBack(identity: string): void {
    const count = taken.get(identity) ?? 0;
    if (count > 1) taken.set(identity, count - 1);
    else taken.delete(identity);
  }
}

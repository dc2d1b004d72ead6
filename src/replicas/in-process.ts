/** An exchange among servers of one process, which tests run; and that of a server that has nobody to tell. */

import { newId } from '../conversation/id.ts';
import type { Exchange, Notice } from './exchange.ts';

/** For a server that is alone with its store, or has no way to the others. */
export const NO_EXCHANGE: Exchange = {
  self: '',
  isConnected: () => false,
  tell: () => undefined,
  listen: () => () => undefined,
  close: async () => undefined,
};

/** @returns makes the exchange of one more server */
export function createInProcessExchanges(): () => Exchange {
  const members = new Map<string, (notice: Notice) => void>();
  return () => {
    const self = newId();
    const listeners = new Set<(notice: Notice) => void>();
    members.set(self, (notice) => {
      for (const listener of listeners) listener(notice);
    });
    return {
      self,
      isConnected: () => members.has(self),
      tell(notice, to) {
        for (const [name, hear] of members) {
          // As over a wire: later, and a copy.
          const copy = structuredClone(notice);
          if (name !== self && (to === undefined || to === name)) setImmediate(() => hear(copy));
        }
      },
      listen(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      async close() {
        members.delete(self);
        listeners.clear();
      },
    };
  };
}

/** Messages of channels, over a connection of its own, which the driver makes anew when it breaks. */

import { createTransport } from './create-transport.ts';
import type { RedisLocation } from './location.ts';

export interface Subscription {
  close(): void;
}

/**
 * Subscribes as soon as Redis can be reached, and for as long as it is not closed. Messages that are sent in between are
 * lost. That a connection leads nowhere is not noticed here.
 * @param timeoutMilliseconds for making a connection
 * @param onMessage called with each message of any of the channels
 * @param onOpen called when messages begin to arrive
 */
export function openSubscription(
  location: RedisLocation,
  timeoutMilliseconds: number,
  channels: readonly string[],
  onMessage: (text: string) => void,
  onOpen: () => void,
): Subscription {
  let isClosed = false;
  const transport = createTransport(location, timeoutMilliseconds, () => undefined);
  void transport
    .connect()
    .then(subscribe)
    // Whoever needs it notices its silence.
    .catch(() => undefined);
  return {
    close() {
      isClosed = true;
      transport.destroy();
    },
  };

  async function subscribe(): Promise<void> {
    if (isClosed) return;
    await transport.subscribe(channels, onMessage);
    onOpen();
  }
}

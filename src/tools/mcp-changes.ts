/**
 * Hearing of changes with the protocol of 2026-07-28, where a client has to ask for it and the answer is a stream. The
 * older protocol tells of them unasked.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '@modelcontextprotocol/client';

export interface ChangesOptions {
  /** Ends the listening. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** The pause after a stream that broke, doubled with each further one up to the longest. */
  readonly restFirstMs: number;
  readonly restMostMs: number;
  /** Told each time listening begins after it had failed or broken: what happened meanwhile is not known. */
  onMissed(): void;
}

/** Whether the server tells of changes to its tools, with either protocol. */
export function tellsOfChanges(client: Client): boolean {
  return client.getServerCapabilities()?.tools?.listChanged === true;
}

/** Listens until the signal aborts; never rejects. What is heard goes to the client's handlers of notifications. */
export async function listenForChanges(client: Client, options: ChangesOptions): Promise<void> {
  const { signal, timeoutMs, restFirstMs, restMostMs, onMissed } = options;
  let rest = restFirstMs;
  for (let missed = false; !signal.aborted; missed = true) {
    try {
      const subscription = await client.listen({ toolsListChanged: true }, { timeout: timeoutMs, signal });
      if (missed) onMissed();
      rest = restFirstMs;
      await subscription.closed;
    } catch {
      // Such as a server that has too many listeners: it is asked again.
    }
    await pause(rest, undefined, { signal, ref: false }).catch(() => undefined);
    rest = Math.min(rest * 2, restMostMs);
  }
}

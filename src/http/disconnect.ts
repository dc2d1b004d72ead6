/** Clients that leave before they have their answer. */

import type { FastifyReply } from 'fastify';

/** A signal that aborts when the connection closes before the whole answer was written to it. */
export function leaving(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const { raw } = reply;
  if (raw.destroyed) gone.abort();
  // Comes for answers of every kind, streams included, and also where there was no answer yet.
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** Calls back once the signal aborts, at once if it has. */
export function onAbort(signal: AbortSignal, callback: () => void): void {
  if (signal.aborted) callback();
  else signal.addEventListener('abort', callback, { once: true });
}

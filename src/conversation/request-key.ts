/**
 * The key under which a client sends a request so that it is done once (`Idempotency-Key`). A key belongs to an
 * owner and, for messages, to a session: the same text elsewhere is another key.
 */

export interface RequestKey {
  /** As the client sent it. */
  value: string;
  /** Stands for what the request asks: the same key with another fingerprint is another request. */
  fingerprint: string;
  /** Milliseconds since the epoch, from when on the key is new again. */
  expiresAt: number;
  /** The request is another one than whatever the key stood for, and the key stands for it from now on. */
  takesOver?: true;
}

/**
 * The `Idempotency-Key` of a request, with a fingerprint of what the request asks. How the answer is to be
 * delivered is no part of it: a request that is sent again may stream where the first did not.
 */

import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { RequestKey } from '../conversation/request-key.ts';

/** The fields of a message's body that say how it is answered, and not what is asked. */
const DELIVERY = new Set(['stream', 'on_busy', 'on_disconnect']);

/**
 * The key of a sent message; null without the header.
 * @param provider the header `X-Provider`, which asks for something as the body does
 * @param seconds how long the key stands for the request
 */
export function messageKey(
  header: string | undefined,
  body: object,
  provider: string | undefined,
  seconds: number,
): RequestKey | null {
  if (header === undefined) return null;
  const asked = Object.fromEntries(Object.entries(body).filter(([name]) => !DELIVERY.has(name)));
  return keyOf(header, { body: asked, provider: provider ?? null }, seconds);
}

/**
 * The key of a session to be made; null without the header.
 * @param seconds how long the key stands for the request
 */
export function sessionKey(header: string | undefined, body: object, seconds: number): RequestKey | null {
  return header === undefined ? null : keyOf(header, { body }, seconds);
}

/**
 * The key of what was decided about the calls of a turn: it stands for as long as the session does, for a call that was
 * approved once must not be made twice.
 */
export function approvalsKey(turnId: string, decisions: readonly object[]): RequestKey {
  return keyOf(`approvals of ${turnId}`, { decisions }, FOR_EVER_SECONDS);
}

/** Libraries give up within a minute; a key that stands longer than their last try costs nothing. */
const LIBRARY_SECONDS = 600;

/**
 * The key of a request that a client library of OpenAI's may send again by itself: such libraries know no keys, but count
 * their tries. The first try is always another request; those after it are the same one, if they ask for the same. Null
 * without either header.
 * @param target what the request is sent to, such as a path and the conversation in it
 * @param seconds how long an `Idempotency-Key` stands for its request; it comes before the count
 */
export function libraryKey(
  headers: IncomingHttpHeaders,
  target: string,
  body: object,
  seconds: number,
): RequestKey | null {
  const { 'idempotency-key': given, 'x-stainless-retry-count': tries } = headers;
  const asked = { target, body };
  if (typeof given === 'string') return keyOf(given, asked, seconds);
  if (typeof tries !== 'string' || !/^\d+$/.test(tries)) return null;
  const key = keyOf(`library ${fingerprintOf(asked)}`, asked, LIBRARY_SECONDS);
  return Number(tries) === 0 ? { ...key, takesOver: true } : key;
}

/** Whether a library of OpenAI's says that it has sent the request before. */
export function isLaterTry({ 'x-stainless-retry-count': tries }: IncomingHttpHeaders): boolean {
  return Number(tries ?? 0) > 0;
}

/** A hundred years. */
const FOR_EVER_SECONDS = 100 * 365 * 86_400;

/** Tells the client that the answer is that of an earlier request under the same key. */
export function markReplayed(reply: FastifyReply): void {
  void reply.header('idempotent-replayed', 'true');
}

function keyOf(value: string, asked: object, seconds: number): RequestKey {
  return { value, fingerprint: fingerprintOf(asked), expiresAt: Date.now() + seconds * 1000 };
}

/** The same for the same JSON, in whatever order its keys were written; sha256 in base64url. */
function fingerprintOf(asked: unknown): string {
  return createHash('sha256').update(canonicalJson(asked)).digest('base64url');
}

/** JSON without space and with sorted keys. Bodies are no deeper than `json-body.ts` lets in. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner)}`);
  return `{${fields.join(',')}}`;
}

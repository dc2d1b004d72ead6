/** Keys as a table for people. */

import type { Static } from 'typebox';
import type { Key } from '../http/admin/admin-schemas.ts';
import { printable, textTable } from './text-table.ts';

/** A key as the admin API shows it, with the name of its client. */
export type ListedKey = Static<typeof Key> & { client_name: string };

const HEAD = ['KEY', 'BEGINS WITH', 'CLIENT', 'CLIENT ID', 'STATE', 'EXPIRES', 'LAST USED', 'NOTE'];

/**
 * Lines with a head, each with its newline.
 * @param now milliseconds since the epoch
 */
export function keyTable(keys: readonly ListedKey[], now: number): string {
  return textTable([HEAD, ...keys.map((key) => cellsOf(key, now))]);
}

function cellsOf(key: ListedKey, now: number): string[] {
  const { id, prefix, client_name: name, client_id: clientId, note } = key;
  const times = [key.expires_at, key.last_used_at].map((time) => minuteOf(time) ?? '-');
  return [id, `pk_${prefix}`, printable(name), clientId, stateOf(key, now), ...times, printable(note ?? '')];
}

function stateOf({ revoked_at: revokedAt, expires_at: expiresAt }: ListedKey, now: number): string {
  if (revokedAt !== null && Date.parse(revokedAt) <= now) return 'revoked';
  if (expiresAt !== null && Date.parse(expiresAt) <= now) return 'expired';
  return revokedAt === null ? 'good' : `good until ${minuteOf(revokedAt)}`;
}

function minuteOf(time: string | null): string | null {
  return time === null ? null : `${time.slice(0, 16)}Z`;
}

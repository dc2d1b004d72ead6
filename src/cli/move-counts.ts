/** How many records of each kind have gone by, and in which words people are told. */

import type { PortableKind, PortableRecord } from '../stores/portable-store.ts';

export interface MoveCounts {
  add(record: PortableRecord): void;
  of(kind: PortableKind): number;
  /** All of them, such as "2 sessions, 1 turn"; "nothing" if there were none. */
  text(): string;
}

/** In the order in which they are told, one and many. */
const NAMES: readonly (readonly [PortableKind, one: string, many: string])[] = [
  ['session', 'session', 'sessions'],
  ['turn', 'turn', 'turns'],
  ['turnKey', 'request key of a turn', 'request keys of turns'],
  ['sessionKey', 'request key of a session', 'request keys of sessions'],
  ['client', 'client', 'clients'],
  ['key', 'API key', 'API keys'],
  ['bypass', 'unlimited network', 'unlimited networks'],
  ['stoppedProvider', 'stopped provider', 'stopped providers'],
  ['knownTool', 'known tool', 'known tools'],
  ['usage', 'total of usage', 'totals of usage'],
  ['audit', 'entry of the audit log', 'entries of the audit log'],
];

export function createMoveCounts(): MoveCounts {
  const counts = new Map<PortableKind, number>();
  const of = (kind: PortableKind) => counts.get(kind) ?? 0;
  return {
    of,
    add({ kind }) {
      counts.set(kind, of(kind) + 1);
      // It takes back the session before it.
      if (kind === 'sessionGone') counts.set('session', of('session') - 1);
    },
    text() {
      const parts = NAMES.flatMap(([kind, one, many]) =>
        of(kind) === 0 ? [] : [counted(of(kind), one, many)],
      );
      return parts.join(', ') || 'nothing';
    },
  };
}

/** A number with its noun, such as "1 session" and "12,000 sessions". */
export function counted(count: number, one: string, many: string): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}

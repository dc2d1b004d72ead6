/**
 * All that a store holds, one record after the other: the order of them, whatever the engine. How an engine reads its
 * pieces is in its own file; a piece is read when the one before has been taken.
 */

import type { Page, PageRequest } from '../conversation/page.ts';
import type { Session } from '../conversation/session.ts';
import type { FinalStatus, TurnStatus } from '../conversation/turn.ts';
import type { UsageTotal } from '../conversation/usage-count.ts';
import type { AdminStore } from './admin-store.ts';
import type {
  DumpMoment,
  PortableRecord,
  PortableSessionKey,
  PortableTurn,
  PortableTurnKey,
} from './portable-store.ts';
import { interruptedRecordJson } from './stored-json.ts';

/** A turn as it was stored; what it has not come to is null. */
export interface StoredTurn extends Omit<PortableTurn, 'status' | 'completedAt' | 'output' | 'record'> {
  status: TurnStatus;
  completedAt: number | null;
  /** Of a turn that runs, the calls that it has noted. */
  output: string | null;
  record: string | null;
}

/** What a dump asks of an engine. All of it is read piece by piece, as it is asked for. */
export interface DumpSource {
  /** By id. */
  sessions(): AsyncIterable<Session>;
  /** Of one session, in the order of their beginning. Nothing if the session is gone. */
  turns(session: Session): AsyncIterable<StoredTurn>;
  /** Of one session, those that have not expired at that time. */
  turnKeys(session: Session, now: number): AsyncIterable<PortableTurnKey>;
  sessionKeys(now: number): AsyncIterable<PortableSessionKey>;
  usage(): AsyncIterable<UsageTotal>;
}

/** Clients and entries of the log that are read at once. */
const AT_ONCE = 100;

/** As `PortableStore.dump` says. */
export async function* dumpFrom(
  source: DumpSource,
  admin: AdminStore,
  moment: DumpMoment,
): AsyncGenerator<PortableRecord> {
  yield* dumpKept(admin);
  for await (const value of source.usage()) yield { kind: 'usage', value };
  for await (const session of source.sessions()) yield* dumpSession(source, session, moment);
  for await (const value of source.sessionKeys(moment.now)) yield { kind: 'sessionKey', value };
}

async function* dumpKept(admin: AdminStore): AsyncGenerator<PortableRecord> {
  for await (const value of allOf((page) => admin.listClients(page))) yield { kind: 'client', value };
  for (const value of await admin.listKeys()) yield { kind: 'key', value };
  for (const value of await admin.listBypass()) yield { kind: 'bypass', value };
  for (const value of await admin.listStoppedProviders()) yield { kind: 'stoppedProvider', value };
  for (const value of await admin.listKnownTools()) yield { kind: 'knownTool', value };
  for await (const value of allOf((page) => admin.listAudit(page))) yield { kind: 'audit', value };
}

async function* allOf<Element extends { id: string }>(
  read: (page: PageRequest) => Promise<Page<Element>>,
): AsyncGenerator<Element> {
  for (let after: string | null = null; ; ) {
    const { data, hasMore }: Page<Element> = await read({ limit: AT_ONCE, after, order: 'asc' });
    yield* data;
    const last = data.at(-1);
    if (last === undefined || !hasMore) return;
    after = last.id;
  }
}

async function* dumpSession(
  source: DumpSource,
  session: Session,
  moment: DumpMoment,
): AsyncGenerator<PortableRecord> {
  yield { kind: 'session', value: session };
  let isWhole = session.headTurnId === null;
  for await (const turn of source.turns(session)) {
    isWhole ||= turn.id === session.headTurnId;
    yield { kind: 'turn', value: ended(turn, moment) };
  }
  if (!isWhole) return yield { kind: 'sessionGone', value: { id: session.id } };
  for await (const value of source.turnKeys(session, moment.now)) yield { kind: 'turnKey', value };
}

/** A turn that runs is over for whoever reads this: the server that runs it is not taken along. */
function ended(turn: StoredTurn, { now, interrupted }: DumpMoment): PortableTurn {
  const { status, completedAt, output, record } = turn;
  if (completedAt === null || output === null || record === null) {
    const failed = { status: 'failed', completedAt: now, output: output ?? '[]' } as const;
    return { ...turn, ...failed, record: interruptedRecordJson(interrupted) };
  }
  return { ...turn, status: status as FinalStatus, completedAt, output, record };
}

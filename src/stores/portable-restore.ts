/**
 * Taking records in, whatever the engine: which of them go together, and how many are held at most. How an engine writes
 * them is in its own file.
 */

import type { Session } from '../conversation/session.ts';
import type { UsageTotal } from '../conversation/usage-count.ts';
import type {
  PortableKind,
  PortableRecord,
  PortableSessionKey,
  PortableTurn,
  PortableTurnKey,
  PortableValues,
  Restored,
} from './portable-store.ts';

/** What a restore asks of an engine, one call after the other. What is there already stays as it is. */
export interface RestoreTarget {
  addKept(records: readonly KeptRecord[]): Promise<void>;
  addUsage(totals: readonly UsageTotal[]): Promise<void>;
  /** Makes ready for a session's turns, which nobody sees yet. False, and nothing to end, if there is such a session. */
  beginSession(session: Session): Promise<boolean>;
  addTurns(turns: readonly PortableTurn[]): Promise<void>;
  addTurnKeys(keys: readonly PortableTurnKey[]): Promise<void>;
  /** The session that was begun is there, with all of its turns. */
  endSession(session: Session): Promise<void>;
  /** There is to be no such session. */
  dropSession(session: Session): Promise<void>;
  /** Keys of sessions that are not there are left out. */
  addSessionKeys(keys: readonly PortableSessionKey[]): Promise<void>;
  /** Writes what is still held back. */
  finish(): Promise<void>;
  /** Called last, however it has ended. */
  release(): Promise<void>;
}

/** What operators keep. */
export type KeptRecord = Extract<PortableRecord, { kind: (typeof KEPT)[number] }>;
const KEPT = [
  'client',
  'key',
  'bypass',
  'stoppedProvider',
  'knownTool',
  'audit',
] as const satisfies PortableKind[];

/** Records that are written at once, and the UTF-16 units of turns after which there are enough of them. */
const AT_ONCE = 100;
const TEXT_AT_ONCE = 500_000;

/** As `PortableStore.restore` says. */
export async function restoreInto(
  target: RestoreTarget,
  records: AsyncIterable<PortableRecord>,
): Promise<Restored> {
  const restored: Restored = { sessions: 0, known: 0 };
  /** The session whose records come, and whether its head has come; not one that is known. */
  let open: { session: Session; hasHead: boolean } | null = null;
  /** The one whose records come, known or not. */
  let currentId: string | null = null;
  let batch: PortableRecord[] = [];
  let batchText = 0;

  try {
    for await (const record of records) await take(record);
    await flush();
    await endSession();
    await target.finish();
    return restored;
  } finally {
    await target.release();
  }

  async function take(record: PortableRecord): Promise<void> {
    if (!belongs(record)) await flush();
    switch (record.kind) {
      case 'session':
        await endSession();
        return beginSession(record.value);
      case 'sessionGone':
        refuseStranger(record.value.id);
        if (open !== null) await target.dropSession(open.session);
        open = null;
        currentId = null;
        return;
      case 'turn':
      case 'turnKey':
        refuseStranger(record.value.sessionId);
        if (open === null) return;
        if (record.kind === 'turn') {
          open.hasHead ||= record.value.id === open.session.headTurnId;
          const { input, output, record: rest } = record.value;
          batchText += input.length + output.length + rest.length;
        }
        break;
      default:
        await endSession();
    }
    batch.push(record);
    if (batch.length >= AT_ONCE || batchText >= TEXT_AT_ONCE) await flush();
  }

  /** Whether the record can be written together with those that wait. */
  function belongs({ kind }: PortableRecord): boolean {
    const [first] = batch;
    return first === undefined || first.kind === kind || (isKept(first.kind) && isKept(kind));
  }

  async function beginSession(session: Session): Promise<void> {
    currentId = session.id;
    if (await target.beginSession(session)) open = { session, hasHead: session.headTurnId === null };
    else restored.known += 1;
  }

  async function endSession(): Promise<void> {
    currentId = null;
    if (open === null) return;
    const { session, hasHead } = open;
    if (!hasHead) throw new Error(`The head of session ${session.id} is not among its turns.`);
    open = null;
    await target.endSession(session);
    restored.sessions += 1;
  }

  function refuseStranger(sessionId: string): void {
    if (sessionId !== currentId) throw new Error(`What is of session ${sessionId} does not follow it.`);
  }

  async function flush(): Promise<void> {
    const records = batch;
    batch = [];
    batchText = 0;
    switch (records[0]?.kind) {
      case undefined:
        return;
      case 'turn':
        return target.addTurns(valuesOf('turn', records));
      case 'turnKey':
        return target.addTurnKeys(valuesOf('turnKey', records));
      case 'sessionKey':
        return target.addSessionKeys(valuesOf('sessionKey', records));
      case 'usage':
        return target.addUsage(valuesOf('usage', records));
      default:
        return target.addKept(records.filter(isKeptRecord));
    }
  }
}

function valuesOf<Kind extends PortableKind>(
  kind: Kind,
  records: readonly PortableRecord[],
): PortableValues[Kind][] {
  return records.flatMap((record) => (record.kind === kind ? [record.value as PortableValues[Kind]] : []));
}

function isKeptRecord(record: PortableRecord): record is KeptRecord {
  return isKept(record.kind);
}

function isKept(kind: PortableKind): boolean {
  return (KEPT as readonly PortableKind[]).includes(kind);
}

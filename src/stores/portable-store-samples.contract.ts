/** Whole stores for the tests of moving: what there can be in one, and its records as lines. */

import { NO_LIMITS } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { Item } from '../conversation/item.ts';
import type { Session } from '../conversation/session.ts';
import { NO_USAGE } from '../conversation/usage-count.ts';
import type { OpenedStore } from './admin-store.ts';
import { sampleEntry } from './admin-store-samples.contract.ts';
import { sampleSight, sampleTool } from './admin-store-tools.contract.ts';
import { recordLine } from './portable-lines.ts';
import type { DumpMoment, PortableRecord } from './portable-store.ts';
import {
  answerMessage,
  begin,
  createdSession,
  OWNER,
  RESTARTED,
  runTurn,
  sampleKey,
  sampleSession,
  sampleTurns,
  userMessage,
} from './store-samples.contract.ts';

export const MOMENT: DumpMoment = { now: 50_000, interrupted: RESTARTED };

export async function recordsOf(store: OpenedStore, moment = MOMENT): Promise<PortableRecord[]> {
  return collected(store.portable.dump(moment));
}

export async function collected<Element>(elements: AsyncIterable<Element>): Promise<Element[]> {
  const all: Element[] = [];
  for await (const element of elements) all.push(element);
  return all;
}

/** All that the store holds, in an order that does not depend on the engine. */
export async function linesOf(store: OpenedStore): Promise<string[]> {
  return (await recordsOf(store)).map(recordLine).toSorted();
}

export async function* streamOf(records: readonly PortableRecord[]): AsyncGenerator<PortableRecord> {
  yield* records;
}

/** Texts that engines and their languages have their own opinions of. */
const WILD = 'a\u0000b \u{1f600} "\\" \u2028 %s $1 {}';
/** Half of a character: what is JSON in every store can hold it, what is plain text in some of them becomes another. */
const HALF = `${WILD} \ud83d`;

/** Items with what this program does not know, numbers as no double would be written, and wild texts. */
function wildItems(): Item[] {
  const message = { ...userMessage(HALF), later: { deep: [1e21, -0.5, null, { [HALF]: HALF }], '7': [] } };
  return [message, answerMessage('')];
}

/** Something of everything that there can be. */
export async function fillStore(store: OpenedStore): Promise<Session[]> {
  await fillKept(store);
  const plain = await createdSession(store, {
    metadata: { [HALF]: HALF, b: '', '1': 'one' },
    title: HALF,
    instructions: HALF,
  });
  const first = await runTurn(store, plain, { input: wildItems(), key: sampleKey({ value: 'first "key"' }) });
  const answers = { output: [answerMessage(HALF)], completedAt: 4000 };
  await runTurn(store, plain, { parentTurnId: first, outcome: answers });
  const failed = { status: 'failed', output: [], error: RESTARTED, usage: null, trace: null } as const;
  await runTurn(store, plain, { key: sampleKey({ fingerprint: 'with blanks' }), outcome: failed });
  await runTurn(store, plain, { outcome: { status: 'cancelled', output: [] } });
  await runTurn(store, plain, { outcome: { status: 'cancelled', completedAt: 4500 } });
  // Another branch, which is the conversation now.
  await runTurn(store, plain, { parentTurnId: first, outcome: { status: 'incomplete', completedAt: 5000 } });
  await runTurn(store, plain, { key: sampleKey({ expiresAt: 40_000 }) });

  const running = await createdSession(store, { owner: 'somebody: else', servedBy: null });
  await runTurn(store, running);
  await begin(store, running, { key: sampleKey() });

  const turns = sampleTurns(150);
  const long = sampleSession({ headTurnId: turns.at(-1)!.id, ttlSeconds: 100, memoryLimit: 7 });
  await store.createSession(long, turns, sampleKey({ value: WILD.slice(4) }));
  const settled = { fallbackProviders: null, maxContextTokens: null, instructions: null, provider: null };
  const empty = sampleSession({ ...settled, servedBy: { provider: 'a', model: 'b/c' } });
  await store.createSession(empty, [], sampleKey({ expiresAt: 40_000 }));
  const deleted = await createdSession(store);
  await runTurn(store, deleted, { key: sampleKey() });
  await store.deleteSession(OWNER, deleted.id);
  return [plain, running, long, empty];
}

async function fillKept({ admin }: OpenedStore): Promise<void> {
  const client = { id: 'shop', name: HALF, limits: { ...NO_LIMITS, rps: 0.5 }, createdAt: 1, updatedAt: 2 };
  await admin.saveClient(client, sampleEntry({ subject: HALF }));
  const limits = { rps: 1, burst: 2, concurrentTurns: 3, tokensPerMinute: 4, tokensPerDay: 5 };
  await admin.saveClient({ ...client, id: 'desk', name: '', limits }, sampleEntry());
  const key = {
    clientId: 'shop',
    prefix: 'abcdefgh',
    note: null,
    createdAt: 3,
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
  };
  const keys = [
    { ...key, id: 'k1', hash: 'h1' },
    { ...key, id: 'k2', hash: 'h2', note: WILD, expiresAt: 4, revokedAt: 5 },
    { ...key, id: 'k3', hash: 'h3', note: '', clientId: 'gone' },
  ];
  await admin.saveKeys(keys, sampleEntry());
  await admin.noteKeyUses(new Map([['k2', 77]]));
  const network = { network: '10.0.0.0/8', note: HALF, createdAt: 6, expiresAt: null };
  await admin.saveBypass(network, sampleEntry());
  await admin.saveBypass({ network: '::1', note: null, createdAt: 6, expiresAt: 7 }, sampleEntry());
  await admin.saveStoppedProvider({ provider: 'openai', note: HALF, stoppedAt: 8 }, sampleEntry());
  await admin.saveStoppedProvider({ provider: 'demo', note: null, stoppedAt: 8 }, sampleEntry());
  const waiting = sampleSight({ fingerprint: 'f2', description: WILD });
  await admin.addKnownTools([sampleTool({ name: WILD, waiting }), sampleTool({ server: 'web' })]);
  const total = { ...NO_USAGE, provider: 'openai', model: WILD, turns: 1, inputTokens: 0.1, cost: 1e-7 };
  await admin.saveUsage([
    { ...total, day: '2026-11-25', owner: 'shop', writer: 'w1' },
    { ...total, day: '2026-11-25', owner: 'shop', writer: 'w2' },
    { ...total, day: '1999-12-31', owner: WILD, writer: 'w1' },
  ]);
  for (let entry = 0; entry < 120; entry += 1) await admin.saveAudit(sampleEntry({ id: newId() }));
}

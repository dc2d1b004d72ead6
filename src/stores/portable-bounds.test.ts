/**
 * Moving holds a bounded number of records, however many there are: counted, from the records that are read to the
 * sessions that are written, over the whole way of an export and an import. What takes longer is read more slowly.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readExport, writeExport } from './portable-lines.ts';
import type { PortableRecord } from './portable-store.ts';
import { MOMENT } from './portable-store-samples.contract.ts';
import { openMemoryStore } from './sqlite.ts';
import { answerMessage, sampleOutcome, sampleSession, userMessage } from './store-samples.contract.ts';
import { recordJson } from './stored-json.ts';

const SESSIONS = 150;
const TURNS = 50;
const ITEMS_OF_TURN = 10;
const ITEMS = SESSIONS * TURNS * ITEMS_OF_TURN;
/** What the target holds back for one transaction, and one batch of turns before it. */
const MOST_SESSIONS_AHEAD = 25;

async function* generated(): AsyncGenerator<PortableRecord> {
  const texts = {
    input: JSON.stringify([userMessage()]),
    output: JSON.stringify(Array.from({ length: ITEMS_OF_TURN - 1 }, () => answerMessage())),
    record: recordJson(sampleOutcome()),
  };
  for (let made = 0; made < SESSIONS; made += 1) {
    const sessionId = `session-${String(made).padStart(5, '0')}`;
    const idOf = (turn: number) => `${sessionId}-${turn}`;
    const headTurnId = idOf(TURNS - 1);
    yield { kind: 'session', value: sampleSession({ id: sessionId, headTurnId }) };
    for (let turn = 0; turn < TURNS; turn += 1) {
      const place = { id: idOf(turn), sessionId, parentId: turn === 0 ? null : idOf(turn - 1) };
      const times = { status: 'completed', createdAt: 1, completedAt: 2 } as const;
      yield { kind: 'turn', value: { ...place, ...times, ...texts } };
    }
  }
}

test(`of ${ITEMS} items a few are on their way at any time`, async () => {
  const [source, target] = [openMemoryStore(), openMemoryStore()];
  await source.portable.restore(generated());
  let dumped = 0;
  let mostAhead = 0;
  const counted = async function* () {
    for await (const record of source.portable.dump(MOMENT)) {
      if (record.kind === 'session') {
        dumped += 1;
        mostAhead = Math.max(mostAhead, dumped - (await target.portable.countSessions()));
      }
      yield record;
    }
  };
  const encoder = new TextEncoder();
  const bytes = async function* () {
    const lines = writeExport({ madeAt: MOMENT.now, sessions: SESSIONS }, counted());
    for await (const line of lines) yield encoder.encode(line);
  };
  const { records } = await readExport(bytes());
  assert.equal(dumped, 0, 'nothing is read before it is asked for');
  const restored = await target.portable.restore(records);
  assert.deepEqual(restored, { sessions: SESSIONS, known: 0 });
  assert.ok(mostAhead <= MOST_SESSIONS_AHEAD, `${mostAhead} sessions were read ahead of what was written`);
  await source.close();
  await target.close();
});

/** How a process with a store ends: killed in the middle of its work, or with nothing more to do. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { openPostgresStore } from '../postgres.ts';
import { begin, OWNER, RESTARTED } from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';

const postgres = await testPostgres();

const OPEN = `
  const [stores, samples] = await Promise.all([
    import(process.argv[1] + 'open-store.ts'), import(process.argv[1] + 'store-samples.contract.ts')]);
  const store = await stores.openStore(process.argv[2], undefined, 30_000);
`;

/** Sixteen sessions at once with turn after turn. What is acknowledged is printed, once it is. */
const WRITER = `${OPEN}
  const say = (kind, session, turn) => process.stdout.write([kind, session.id, turn].join(' ') + '\\n');
  await Promise.all(Array.from({ length: 16 }, async () => {
    const session = await samples.createdSession(store);
    for (;;) {
      const { turnId, fence } = await samples.begin(store, session, { leaseMilliseconds: 1 });
      say('begun', session, turnId);
      await store.commitTurn({ sessionId: session.id, turnId, fence, outcome: samples.sampleOutcome() });
      say('done', session, turnId);
    }
  }));
`;

function start(context: TestContext, script: string, location: string): ChildProcess {
  const rooms = new URL('..', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, rooms, location], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

test('kill -9 loses nothing that was acknowledged, and its turns are failed by whoever is left', {
  skip,
  timeout: 60_000,
}, async (context) => {
  const location = postgres.location();
  const store = await openPostgresStore(location, PATIENT);
  context.after(() => store.close());
  const child = start(context, WRITER, location);
  const ended = once(child, 'exit');
  const acknowledged: string[][] = [];
  for await (const line of createInterface({ input: child.stdout! })) {
    acknowledged.push(line.split(' '));
    if (acknowledged.length === 400) child.kill('SIGKILL');
  }
  assert.equal((await ended)[1], 'SIGKILL');

  const sessions = new Set(acknowledged.map(([, sessionId]) => sessionId!));
  for (const sessionId of sessions) {
    const session = (await store.getSession(OWNER, sessionId))!;
    // What the process had sent when it died may still be under way, and begin a turn.
    for (let isFree = false; !isFree; ) {
      await store.failInterrupted(RESTARTED, 9000);
      const turns = await store.listTurns(OWNER, sessionId, { limit: 1, after: null, order: 'desc' });
      isFree = turns!.data[0]!.status !== 'in_progress';
    }
    await begin(store, session, { leaseMilliseconds: 600_000 });
  }
  for (const [kind, sessionId, turnId] of acknowledged) {
    const turn = await store.getTurn(OWNER, sessionId!, turnId!);
    if (kind === 'done') assert.equal(turn?.status, 'completed');
    assert.ok(turn?.status === 'completed' || turn?.error?.code === 'server_restarted');
    assert.equal(turn.input.length, 1);
  }
});

const MAKE_SESSIONS = `${OPEN}
  await Promise.all(Array.from({ length: 30 }, () => samples.createdSession(store)));
`;
const endings = [
  ['an open store keeps no process from ending', MAKE_SESSIONS],
  ['a store closes although nothing else keeps the process', `${MAKE_SESSIONS} await store.close();`],
] as const;
for (const [name, script] of endings) {
  test(name, { skip, timeout: 60_000 }, async (context) => {
    const child = start(context, script, postgres.location());
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
}

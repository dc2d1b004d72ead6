/** How a process and its store end: killed in the middle of its work, or with nothing more to do. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { openSqliteStore } from '../sqlite.ts';
import { begin, OWNER, RESTARTED } from '../store-samples.contract.ts';
import { temporaryDatabase } from './samples.contract.ts';

/**
 * A turn that never ends, and sixteen sessions at once with turn after turn. What is acknowledged is printed,
 * once it is.
 */
const WRITER = `
  const [stores, samples] = await Promise.all([
    import(process.argv[1] + 'open-store.ts'), import(process.argv[1] + 'store-samples.contract.ts')]);
  const store = await stores.openStore('sqlite:' + process.argv[2]);
  const say = (kind, session, turn) => process.stdout.write([kind, session.id, turn].join(' ') + '\\n');
  const left = await samples.createdSession(store);
  say('begun', left, (await samples.begin(store, left)).turnId);
  await Promise.all(Array.from({ length: 16 }, async () => {
    const session = await samples.createdSession(store);
    for (;;) {
      const { turnId, fence } = await samples.begin(store, session);
      say('begun', session, turnId);
      await store.commitTurn({ sessionId: session.id, turnId, fence, outcome: samples.sampleOutcome() });
      say('done', session, turnId);
    }
  }));
`;

/** Five megabytes: the last write starts the checkpoint thread. */
const WRITE_MUCH = `
  const [stores, samples] = await Promise.all([
    import(process.argv[1] + 'open-store.ts'), import(process.argv[1] + 'store-samples.contract.ts')]);
  const store = await stores.openStore('sqlite:' + process.argv[2]);
  for (let made = 0; made < 5; made += 1) {
    await samples.createdSession(store, { instructions: 'x'.repeat(1_000_000) });
  }
`;

function start(context: TestContext, script: string, location: string): ChildProcess {
  const rooms = new URL('..', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, rooms, location], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

test('kill -9 loses nothing that was acknowledged, and frees the file', {
  timeout: 60_000,
}, async (context) => {
  const location = temporaryDatabase(context);
  const child = start(context, WRITER, location);
  const ended = once(child, 'exit');
  const acknowledged: string[][] = [];
  for await (const line of createInterface({ input: child.stdout! })) {
    if (acknowledged.length === 0) assert.throws(() => openSqliteStore(location), /Another server is using/);
    acknowledged.push(line.split(' '));
    if (acknowledged.length === 400) child.kill('SIGKILL');
  }
  assert.equal((await ended)[1], 'SIGKILL');

  const store = openSqliteStore(location);
  context.after(() => store.close());
  assert.ok((await store.failInterrupted(RESTARTED, 9000)) > 0);
  for (const [kind, sessionId, turnId] of acknowledged) {
    const turn = await store.getTurn(OWNER, sessionId!, turnId!);
    if (kind === 'done') assert.equal(turn?.status, 'completed');
    assert.ok(turn?.status === 'completed' || turn?.error?.code === 'server_restarted');
    assert.equal(turn.input.length, 1);
  }
  const left = await store.getSession(OWNER, acknowledged[0]![1]!);
  assert.equal((await begin(store, left!)).parentId, null);
});

const endings = [
  ['an open store keeps no process from ending', WRITE_MUCH],
  ['a store closes although nothing else keeps the process', `${WRITE_MUCH} await store.close();`],
] as const;
for (const [name, script] of endings) {
  test(name, { timeout: 60_000 }, async (context) => {
    const child = start(context, script, temporaryDatabase(context));
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
}

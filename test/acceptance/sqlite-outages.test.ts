/** The store's outages as clients and probes see them: 503 while they last, and none of it afterwards. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { call, newSession, send } from './client.ts';
import {
  emptyDirectory,
  type ParleyProcess,
  removeParley,
  startParley,
  startParleyIn,
} from './parley-process.ts';

/** What every outage comes to. */
async function assertOut({ url }: ParleyProcess, sessionId: string): Promise<void> {
  const { status, body } = await send(url, sessionId, 'lost');
  assert.deepEqual([status, body.error.code], [503, 'store_unavailable']);
  const ready = await call(url, 'GET', '/ready');
  assert.equal(ready.status, 503);
  assert.equal(ready.body.checks.store.status, 'unavailable');
  assert.equal((await call(url, 'GET', '/health')).status, 200);
}

async function assertBack({ url }: ParleyProcess, sessionId: string, said: string): Promise<void> {
  assert.equal((await send(url, sessionId, said)).status, 200);
  assert.equal((await call(url, 'GET', '/ready')).status, 200);
  const { body } = await call(url, 'GET', `/sessions/${sessionId}/messages`);
  const users = body.data.filter(({ role }: { role: string }) => role === 'user');
  assert.deepEqual(
    users.map(({ content }: { content: string }) => content),
    ['before', said],
  );
}

test('a database that somebody else has locked is out until the lock is gone', async (t) => {
  const parley = await startParley();
  t.after(() => removeParley(parley));
  const id = await newSession(parley.url);
  assert.equal((await send(parley.url, id, 'before')).status, 200);
  const other = new DatabaseSync(join(parley.directory, 'data/parley.db'));
  other.exec('BEGIN IMMEDIATE');
  const out = assertOut(parley, id);
  // Waiting for the lock stops nobody who needs no store.
  assert.equal((await call(parley.url, 'GET', '/health')).status, 200);
  await out;
  other.exec('ROLLBACK');
  other.close();
  await assertBack(parley, id, 'after');
});

test('a disk that is full is out until there is room again', async (t) => {
  const directory = await smallDisk(t);
  if (directory === null) return t.skip('no file system can be mounted here');
  const parley = await startParleyIn(directory, { LOG_LEVEL: 'silent' });
  t.after(() => removeParley(parley));
  const id = await newSession(parley.url);
  assert.equal((await send(parley.url, id, 'before')).status, 200);
  const another = await newSession(parley.url);
  const ballast = join(directory, 'ballast');
  await fill(ballast);
  // The log may have been grown ahead of what is in it.
  while ((await send(parley.url, another, 'x'.repeat(20_000))).status === 200);
  await assertOut(parley, id);
  await rm(ballast);
  await assertBack(parley, id, 'after');
  // What was refused has left nothing behind.
  assert.doesNotMatch(await readFile(join(directory, 'data/parley.db'), 'latin1'), /lost/);
});

/** A file system of 4 MB in memory; null where that is not allowed. */
async function smallDisk(t: TestContext): Promise<string | null> {
  const directory = await emptyDirectory();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    await rm(directory, { recursive: true });
    return null;
  }
  t.after(() => execFileSync('umount', ['-l', directory]));
  return directory;
}

async function fill(path: string): Promise<void> {
  const { bavail, bsize } = await statfs(join(path, '..'));
  await writeFile(path, Buffer.alloc(bavail * bsize));
}

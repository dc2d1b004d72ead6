import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { test } from 'node:test';
import { openStore } from './open-store.ts';
import { temporaryDatabase } from './sqlite/samples.contract.ts';
import { createdSession, OWNER } from './store-samples.contract.ts';

test('sqlite: opens a file, by an absolute or a relative path', async (context) => {
  const location = temporaryDatabase(context);
  const absolute = await openStore(`sqlite:${location}`);
  const session = await createdSession(absolute);
  await absolute.close();
  assert.ok(existsSync(location));
  const byRelativePath = await openStore(`sqlite:${relative(process.cwd(), location)}`);
  assert.deepEqual(await byRelativePath.getSession(OWNER, session.id), session);
  await byRelativePath.close();
});

test('memory: opens a store of its own each time', async () => {
  const [first, second] = [await openStore('memory:'), await openStore('memory:')];
  const session = await createdSession(first);
  assert.equal(await second.getSession(OWNER, session.id), null);
  await Promise.all([first.close(), second.close()]);
});

test('any other location is refused, without repeating what may be secret', async () => {
  const secret = 'mysql://user:secret@host/db';
  for (const location of [
    secret,
    '',
    'memory:x',
    'sqlite:',
    'sqlite://host/file',
    'sqlite::memory:',
    'redis:host',
  ]) {
    await assert.rejects(openStore(location), (error: Error) => {
      assert.match(error.message, /names no store\. Use sqlite:<path>/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});

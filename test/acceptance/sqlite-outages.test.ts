/** The outages of SQLite in docs/outages.md, as the clients and the operator of a server see them, which is never restarted. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { mountSmallDisk } from '../small-disk.ts';
import { startWitness } from './outage-witness.ts';
import { startParley, startParleyIn } from './parley-process.ts';

test('somebody else has locked the database', async (t) => {
  const witness = await startWitness(startParley);
  t.after(witness.close);
  const conversation = await witness.converse();
  const running = await witness.held();
  const other = new DatabaseSync(join(witness.parley.directory, 'data/parley.db'));
  other.exec('BEGIN IMMEDIATE');
  // Both wait for the lock.
  await Promise.all([witness.assertOut(conversation, 'reading'), witness.assertTurnFails(running)]);
  other.exec('ROLLBACK');
  other.close();
  await witness.assertBack(conversation);
  await witness.assertFailedTurnIsKept(running);
});

test('the disk is full', async (t) => {
  const disk = mountSmallDisk();
  if (disk === null) return t.skip('no file system can be mounted here');
  const witness = await startWitness((settings) =>
    startParleyIn(disk.directory, { ...settings, LOG_LEVEL: 'silent' }),
  );
  t.after(async () => {
    await witness.parley.stop('SIGKILL');
    disk.remove();
    await witness.close();
  });
  const conversation = await witness.converse();
  disk.fill();
  await witness.talkUntilRefused(conversation);
  await witness.assertOut(conversation, 'reading');
  disk.clear();
  await witness.assertBack(conversation);
  // What was refused has left nothing behind.
  assert.doesNotMatch(await readFile(join(disk.directory, 'data/parley.db'), 'latin1'), /refused for good/);
});

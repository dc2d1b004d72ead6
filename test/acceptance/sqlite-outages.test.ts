/** The outages of SQLite in docs/outages.md, as the clients and the operator of a server see them, which is never restarted. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { startWitness } from './outage-witness.ts';
import { emptyDirectory, startParley, startParleyIn } from './parley-process.ts';

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
  const directory = await smallDisk(t);
  if (directory === null) return t.skip('no file system can be mounted here');
  const witness = await startWitness((settings) =>
    startParleyIn(directory, { ...settings, LOG_LEVEL: 'silent' }),
  );
  t.after(witness.close);
  const conversation = await witness.converse();
  const ballast = join(directory, 'ballast');
  await fill(ballast);
  await witness.talkUntilRefused(conversation);
  await witness.assertOut(conversation, 'reading');
  await rm(ballast);
  await witness.assertBack(conversation);
  // What was refused has left nothing behind.
  assert.doesNotMatch(await readFile(join(directory, 'data/parley.db'), 'latin1'), /refused for good/);
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

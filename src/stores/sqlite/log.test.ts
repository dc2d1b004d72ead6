import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { openDatabaseFile } from './file.ts';
import { type LogLimits, openWriteAheadLog, type WriteAheadLog } from './log.ts';
import { temporaryDatabase } from './samples.contract.ts';

const PAGE_BYTES = 4096;
/** A frame of the log is a page and its header; the log has one of its own. */
const logBytes = (frames: number) => 32 + frames * (24 + PAGE_BYTES);
/** Frames of one transaction below, at most. */
const WRITE_FRAMES = 4;

function setUp(context: TestContext) {
  const file = openDatabaseFile(temporaryDatabase(context));
  file.database.execute('CREATE TABLE notes (text TEXT) STRICT');
  const insert = file.database.prepare('INSERT INTO notes VALUES (?)');
  const write = () => file.database.transaction(() => insert.run('x'.repeat(PAGE_BYTES)));
  return { ...file, write };
}

function sync(writeAheadLog: WriteAheadLog): Promise<void> {
  return new Promise((resolve, reject) =>
    writeAheadLog.sync((error) => (error === null ? resolve() : reject(error))),
  );
}

test('under constant writing the log stays near its limit', async (context) => {
  const { database, path, write, close } = setUp(context);
  const limits: LogLimits = { checkpointFrames: 16, longestFrames: 64 };
  const errors: unknown[] = [];
  const writeAheadLog = openWriteAheadLog(
    database,
    path,
    { error: (details) => errors.push(details) },
    limits,
  );
  for (let round = 0; round < 500; round += 1) {
    write();
    await sync(writeAheadLog);
  }
  // A checkpoint that was under way at the limit does not cover all; the next one comes 16 frames later at most.
  const longest = limits.longestFrames + limits.checkpointFrames + WRITE_FRAMES;
  assert.ok(statSync(`${path}-wal`).size <= logBytes(longest));
  assert.ok(statSync(path).size > 400 * PAGE_BYTES);
  await writeAheadLog.close();
  close();
  assert.deepEqual(errors, []);
  assert.equal(statSync(`${path}-wal`, { throwIfNoEntry: false }), undefined);
});

test('a checkpoint that fails is logged, and stops no write', async (context) => {
  const { database, path, write, close } = setUp(context);
  context.after(close);
  // A worker that finds a directory where the database should be.
  const elsewhere = `${path}-elsewhere`;
  mkdirSync(elsewhere);
  writeFileSync(`${elsewhere}-wal`, '');
  const errors: string[] = [];
  const log = { error: (_: object, message: string) => errors.push(message) };
  const limits: LogLimits = { checkpointFrames: 4, longestFrames: 4 };
  const writeAheadLog = openWriteAheadLog(database, elsewhere, log, limits);
  for (let round = 0; round < 10; round += 1) {
    write();
    await sync(writeAheadLog);
  }
  await writeAheadLog.close();
  assert.match(errors[0]!, /checkpoint failed/);
});

test('a sync that fails says so, to its caller and in the log', async (context) => {
  const { database, path, close } = setUp(context);
  context.after(close);
  const errors: string[] = [];
  const log = { error: (_: object, message: string) => errors.push(message) };
  const writeAheadLog = openWriteAheadLog(database, path, log);
  await writeAheadLog.close();
  await assert.rejects(sync(writeAheadLog), { code: 'EBADF' });
  assert.match(errors[0]!, /could not be synced/);
});

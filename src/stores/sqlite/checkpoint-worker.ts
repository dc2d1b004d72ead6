/**
 * A thread that copies the write-ahead log into the database file, so that no turn waits for it. It has its
 * own connection, works when it is told to, and knows no table.
 */

import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { CheckpointReport, CheckpointRequest } from './log.ts';

const port = parentPort;
if (port === null) throw new Error('This file runs as a worker of log.ts.');

const connection = new DatabaseSync(String(workerData));
/** Passive: copies what it can without making any reader or writer wait. */
const copyLog = connection.prepare('PRAGMA wal_checkpoint(PASSIVE)');

port.on('message', (request: CheckpointRequest) => {
  if (request === 'close') {
    connection.close();
    port.close();
    return;
  }
  port.postMessage(checkpoint());
});

function checkpoint(): CheckpointReport {
  try {
    copyLog.get();
    return { error: null };
  } catch (error) {
    return { error };
  }
}

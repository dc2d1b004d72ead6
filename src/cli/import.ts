/** `parley import`: an export of any store, taken into another one. */

import type { OpenedStore } from '../stores/admin-store.ts';
import { readExport } from '../stores/portable-lines.ts';
import type { PortableRecord } from '../stores/portable-store.ts';
import { createLog } from '../telemetry/log.ts';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { readExportFile } from './export-file.ts';
import { counted, createMoveCounts, type MoveCounts } from './move-counts.ts';
import { type ImportRequest, readImportRequest, STANDARD } from './move-request.ts';
import { asCommandError, openMovedStore } from './moved-store.ts';
import { placeOf } from './place-of.ts';
import { createProgress } from './progress.ts';
import { readConfig } from './read-config.ts';
import { watched } from './watched.ts';

const USAGE = `parley import: takes an export into a store

usage:
  parley import FILE [--into URL] [--into-existing]

FILE is what parley export has written, gzipped if its name ends in .gz; - is standard input.

options:
  --into URL       the store, as DATABASE_URL names it, which it is without this option
  --into-existing  also if there are sessions in the store: what is there already stays as it is, the rest is added
  --help

A file is checked as a whole before anything is written. An import that was broken off can be run again, with
--into-existing. Start servers when it is done: they read clients and keys when they start.
`;

type Task = Exclude<ImportRequest, { command: 'help' }>;

export async function importStore(args: readonly string[]): Promise<void> {
  try {
    const request = readImportRequest(args);
    if (request.command === 'help') process.stdout.write(USAGE);
    else await run(request);
  } catch (error) {
    const { message, exitCode } = asCommandError(error);
    const hint = exitCode === EXIT_USAGE ? 'parley import --help shows the usage\n' : '';
    process.stderr.write(`parley import: ${message}\n${hint}`);
    process.exitCode = exitCode;
  }
}

async function run(request: Task): Promise<void> {
  const config = readConfig();
  if (config === null) return;
  const { file } = request;
  // Standard input can be read once: then a line that is damaged is found when those before it are written.
  if (file !== STANDARD) for await (const _ of (await open(file, 'checked')).records);
  const location = request.into ?? config.databaseUrl;
  const store = await openMovedStore(location, true, createLog(config.logLevel, process.stderr));
  try {
    await importInto(store, location, request);
  } finally {
    await store.close();
  }
}

async function importInto(store: OpenedStore, location: string, request: Task): Promise<void> {
  const there = await store.portable.countSessions();
  if (there > 0 && !request.intoExisting) {
    const sessions = counted(there, 'session', 'sessions');
    throw new CommandError(
      `${placeOf(location)} has ${sessions} already; --into-existing adds to what is there`,
    );
  }
  const { records, counts } = await open(request.file, 'imported');
  try {
    const { known } = await store.portable.restore(records);
    const stayed = known === 0 ? '' : `; ${counted(known, 'session was', 'sessions were')} there already`;
    process.stderr.write(`imported into ${placeOf(location)}: ${counts.text()}${stayed}\n`);
  } catch (error) {
    const { message, exitCode } = asCommandError(error);
    const rest = 'What came before it stays: with --into-existing the import can be run again.';
    throw new CommandError(`${message}\n${rest}`, exitCode);
  }
}

/** The records of an export, shown as they go by. */
async function open(
  file: string,
  done: string,
): Promise<{ records: AsyncIterable<PortableRecord>; counts: MoveCounts }> {
  const { head, records } = await readExport(readExportFile(file));
  const counts = createMoveCounts();
  const now = () => performance.now();
  const { sessions } = head;
  const progress = createProgress({ done, counts, sessions, stream: process.stderr, now });
  return { records: watched(records, counts, progress), counts };
}

/** `parley export`: everything that a store holds, as lines of JSON that `parley import` takes into any other. */

import { AppError } from '../errors.ts';
import { writeExport } from '../stores/portable-lines.ts';
import { createLog } from '../telemetry/log.ts';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { writeExportFile } from './export-file.ts';
import { createMoveCounts } from './move-counts.ts';
import { type ExportRequest, readExportRequest, STANDARD } from './move-request.ts';
import { asCommandError, openMovedStore } from './moved-store.ts';
import { placeOf } from './place-of.ts';
import { createProgress } from './progress.ts';
import { readConfig } from './read-config.ts';
import { watched } from './watched.ts';

const USAGE = `parley export: everything that a store holds, as lines of JSON

usage:
  parley export [--to FILE] [--from URL]

options:
  --to FILE    where to; a file that is not there yet, gzipped if its name ends in .gz, or - for standard output,
               which it is without this option
  --from URL   the store, as DATABASE_URL names it, which it is without this option
  --help

Sessions with all of their turns, request keys, clients and keys (as hashes), networks that are not limited, stopped
providers, usage and the audit log. A turn that is running is exported as failed. A database file must not be in use by
a server; a store that servers share may be.
`;

export async function exportStore(args: readonly string[]): Promise<void> {
  try {
    const request = readExportRequest(args);
    if (request.command === 'help') process.stdout.write(USAGE);
    else await run(request);
  } catch (error) {
    const { message, exitCode } = asCommandError(error);
    const hint = exitCode === EXIT_USAGE ? 'parley export --help shows the usage\n' : '';
    process.stderr.write(`parley export: ${message}\n${hint}`);
    process.exitCode = exitCode;
  }
}

async function run({ from, to }: Exclude<ExportRequest, { command: 'help' }>): Promise<void> {
  if (to === STANDARD && process.stdout.isTTY) {
    throw new CommandError('standard output is a terminal: name a file with --to', EXIT_USAGE);
  }
  const config = readConfig();
  if (config === null) return;
  const location = from ?? config.databaseUrl;
  const store = await openMovedStore(location, false, createLog(config.logLevel, process.stderr));
  try {
    const { code, message } = new AppError('server_restarted');
    const madeAt = Date.now();
    const sessions = await store.portable.countSessions();
    const counts = createMoveCounts();
    const now = () => performance.now();
    const progress = createProgress({ done: 'exported', counts, sessions, stream: process.stderr, now });
    const records = store.portable.dump({ now: madeAt, interrupted: { code, message } });
    await writeExportFile(to, writeExport({ madeAt, sessions }, watched(records, counts, progress)));
    process.stderr.write(`exported from ${placeOf(location)}: ${counts.text()}\n`);
  } finally {
    await store.close();
  }
}

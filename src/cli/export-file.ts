/** Where an export lies: a file, gzipped if its name says so, or a standard stream. It knows nothing of what is in it. */

import { createReadStream, createWriteStream } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { pipeline as connect } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { CommandError } from './command-error.ts';
import { EXIT_DATA } from './exit-codes.ts';
import { STANDARD } from './move-request.ts';

/**
 * Writes the pieces as they are taken, and resolves when all of them are on disk. A file must not be there yet, is for
 * this user alone, and is removed if it cannot be finished.
 */
export async function writeExportFile(file: string, pieces: AsyncIterable<string>): Promise<void> {
  if (file === STANDARD) return pipeline(pieces, process.stdout, { end: false });
  const stream = createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true });
  try {
    if (isGzip(file)) await pipeline(pieces, createGzip(), stream);
    else await pipeline(pieces, stream);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw new CommandError(`${file} is there already`);
    await unlink(file).catch(() => undefined);
    throw error;
  }
}

/** The bytes of an export, read as they are taken. Throws a `CommandError` if it cannot be read. */
export async function* readExportFile(file: string): AsyncGenerator<Uint8Array> {
  try {
    if (file === STANDARD) return yield* process.stdin as AsyncIterable<Uint8Array>;
    const bytes = createReadStream(file);
    if (!isGzip(file)) return yield* bytes as AsyncIterable<Uint8Array>;
    const unpacked = createGunzip();
    // What goes wrong with either ends the other, and is thrown by whoever reads.
    connect(bytes, unpacked, () => undefined);
    yield* unpacked as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new CommandError(`there is no file ${file}`);
    if (codeOf(error).startsWith('Z_')) {
      throw new CommandError(`${file} is no whole gzip file: ${(error as Error).message}`, EXIT_DATA);
    }
    throw error;
  }
}

function isGzip(file: string): boolean {
  return file.endsWith('.gz');
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/**
 * The write-ahead log after a sync of it has failed. The kernel may have dropped what it could not write, and then
 * shows what the disk holds instead. Whether that has happened the log itself tells: each frame has a checksum over
 * all before it (https://sqlite.org/fileformat2.html#walformat). Frames that hold are written again, so that the
 * next sync owes them to the disk anew. Nobody may write to the log meanwhile.
 */

import { read, write } from 'node:fs';
import { promisify } from 'node:util';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The magic number's last bit tells the byte order of the words that are summed; all else is big-endian. */
const MAGIC = 0x377f0682;
/** About a mebibyte at once: the event loop goes on between two pieces. */
const FRAMES_AT_ONCE = 256;

const readAt = promisify(read);
const writeAt = promisify(write);

interface Sums {
  first: number;
  second: number;
}

/**
 * Checks that the log begins with this many whole frames, the last of which ends a transaction, and writes them
 * again as they are. False if they do not hold: then something that was committed is gone. Rejects if the file
 * cannot be read or written. It does not sync.
 * @param descriptor the log, open for reading and writing
 * @param frames as many as SQLite has committed
 */
export async function rewriteLog(descriptor: number, frames: number): Promise<boolean> {
  if (frames === 0) return true;
  const header = await readBytes(descriptor, 0, HEADER_BYTES);
  const check = header && checkHeader(header);
  if (!header || !check) return false;
  await writeBytes(descriptor, 0, header);
  const frameBytes = FRAME_HEADER_BYTES + check.pageBytes;
  for (let done = 0; done < frames; ) {
    const count = Math.min(FRAMES_AT_ONCE, frames - done);
    const position = HEADER_BYTES + done * frameBytes;
    const bytes = await readBytes(descriptor, position, count * frameBytes);
    if (!bytes) return false;
    for (let frame = 0; frame < count; frame += 1) {
      const begin = frame * frameBytes;
      if (!check.holds(new DataView(bytes.buffer, bytes.byteOffset + begin, frameBytes))) return false;
    }
    await writeBytes(descriptor, position, bytes);
    done += count;
    if (done === frames && !endsTransaction(bytes, (count - 1) * frameBytes)) return false;
  }
  return true;
}

/** The log's page size, and what checks its frames one after another; null if it is no whole header. */
function checkHeader(bytes: Buffer): { pageBytes: number; holds: (frame: DataView) => boolean } | null {
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const magic = header.getUint32(0);
  if (magic !== MAGIC && magic !== MAGIC + 1) return null;
  const littleEndian = magic === MAGIC;
  const sums: Sums = { first: 0, second: 0 };
  addWords(sums, header, 0, 24, littleEndian);
  if (!sameSums(sums, header, 24)) return null;
  return { pageBytes: header.getUint32(8), holds };

  function holds(frame: DataView): boolean {
    // The salts change when the log begins anew: a frame with others was left by an earlier run of it.
    const ofThisRun =
      frame.getUint32(8) === header.getUint32(16) && frame.getUint32(12) === header.getUint32(20);
    if (!ofThisRun) return false;
    addWords(sums, frame, 0, 8, littleEndian);
    addWords(sums, frame, FRAME_HEADER_BYTES, frame.byteLength, littleEndian);
    return sameSums(sums, frame, 16);
  }
}

/** SQLite's checksum over the words from `begin` to `end`, which are whole pairs, going on from `sums`. */
function addWords(sums: Sums, bytes: DataView, begin: number, end: number, littleEndian: boolean): void {
  let { first, second } = sums;
  for (let at = begin; at < end; at += 8) {
    first = (first + bytes.getUint32(at, littleEndian) + second) >>> 0;
    second = (second + bytes.getUint32(at + 4, littleEndian) + first) >>> 0;
  }
  sums.first = first;
  sums.second = second;
}

function sameSums(sums: Sums, bytes: DataView, at: number): boolean {
  return bytes.getUint32(at) === sums.first && bytes.getUint32(at + 4) === sums.second;
}

/** The frame that ends a transaction says how large the database is after it. */
function endsTransaction(bytes: Buffer, frame: number): boolean {
  return bytes.readUInt32BE(frame + 4) !== 0;
}

/** Null if the file ends before. */
async function readBytes(descriptor: number, position: number, length: number): Promise<Buffer | null> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await readAt(descriptor, bytes, done, length - done, position + done);
    if (bytesRead === 0) return null;
    done += bytesRead;
  }
  return bytes;
}

async function writeBytes(descriptor: number, position: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await writeAt(descriptor, bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

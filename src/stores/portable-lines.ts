/**
 * The lines of an export: a head that says what this is, one line for each record, and an end that says how many there
 * were and what they hash to. Lines are JSON; a file is read as it was written, or refused with the number of the line.
 * It opens no file.
 */

import { createHash } from 'node:crypto';
import { elementsOf, membersOf } from './json-text.ts';
import { inShape, isPortableKind, problemOf } from './portable-shapes.ts';
import type { PortableRecord, PortableTurn } from './portable-store.ts';

/** The version of lines that this program writes and reads. */
const VERSION = 1;

export interface ExportHead {
  /** When it was made, in milliseconds since the epoch. */
  madeAt: number;
  /** About how many sessions follow. */
  sessions: number;
}

/** An export that is not whole, or none at all. */
export class ExportFormatError extends Error {
  override readonly name = 'ExportFormatError';

  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
  }
}

/** A whole export, line by line, each with its newline. */
export async function* writeExport(
  { madeAt, sessions }: ExportHead,
  records: AsyncIterable<PortableRecord>,
): AsyncGenerator<string> {
  const hash = createHash('sha256');
  const head = `${JSON.stringify({ parley: 'export', version: VERSION, madeAt, sessions })}\n`;
  hash.update(head);
  yield head;
  let count = 0;
  for await (const record of records) {
    const line = `${recordLine(record)}\n`;
    hash.update(line);
    count += 1;
    yield line;
  }
  yield `${JSON.stringify({ parley: 'end', records: count, sha256: hash.digest('hex') })}\n`;
}

/** A record as one line, without its newline. */
export function recordLine(record: PortableRecord): string {
  if (record.kind === 'turn') return `{"turn":${turnText(record.value)}}`;
  return JSON.stringify({ [record.kind]: inShape(record.kind, record.value) });
}

/**
 * Reads an export as its records are asked for. Rejects, at once or on the way, with an `ExportFormatError`: for what is
 * no export, one of another version, a line that is not as it was written, and an end that is missing or tells of other
 * lines.
 * @param bytes of UTF-8
 */
export async function readExport(
  bytes: AsyncIterable<Uint8Array>,
): Promise<{ head: ExportHead; records: AsyncGenerator<PortableRecord> }> {
  const lines = splitLines(bytes);
  const first = await lines.next();
  const line = first.done ? '' : first.value;
  return { head: readHead(line), records: readRecords(line, lines) };
}

async function* readRecords(head: string, lines: AsyncIterable<string>): AsyncGenerator<PortableRecord> {
  const hash = createHash('sha256').update(`${head}\n`);
  let number = 1;
  let isOver = false;
  for await (const line of lines) {
    number += 1;
    if (isOver) throw new ExportFormatError(number, 'there is something after the end of the export');
    const parsed = parsedObject(line, number);
    if (parsed['parley'] === undefined) {
      hash.update(`${line}\n`);
      yield readRecord(line, parsed, number);
    } else {
      checkEnd(parsed, number, hash.digest('hex'));
      isOver = true;
    }
  }
  if (!isOver) throw new ExportFormatError(number + 1, 'the export breaks off here, without its last line');
}

function readHead(line: string): ExportHead {
  let head: Record<string, unknown>;
  try {
    head = parsedObject(line, 1);
  } catch {
    head = {};
  }
  if (head['parley'] !== 'export') throw new ExportFormatError(1, 'this is no export of Parley');
  const { version, madeAt, sessions } = head;
  if (version !== VERSION) {
    const known = `this program reads version ${VERSION}`;
    throw new ExportFormatError(1, `the export is of version ${JSON.stringify(version)}, and ${known}`);
  }
  if (typeof madeAt !== 'number' || typeof sessions !== 'number') {
    throw new ExportFormatError(1, 'the head of the export is damaged');
  }
  return { madeAt, sessions };
}

function checkEnd(
  { parley, records, sha256 }: Record<string, unknown>,
  number: number,
  digest: string,
): void {
  if (parley !== 'end') throw new ExportFormatError(number, 'a head where a record should be');
  // Two lines are no records: the head, and this one.
  if (records !== number - 2) {
    throw new ExportFormatError(
      number,
      `the export had ${String(records)} records, and here are ${number - 2}`,
    );
  }
  if (sha256 !== digest) throw new ExportFormatError(number, 'a line of the export was changed on its way');
}

function readRecord(line: string, parsed: Record<string, unknown>, number: number): PortableRecord {
  const [kind = '', ...others] = Object.keys(parsed);
  if (others.length > 0 || !isPortableKind(kind)) {
    throw new ExportFormatError(number, 'no record that this program knows');
  }
  const problem = problemOf(kind, parsed[kind]);
  if (problem !== null) throw new ExportFormatError(number, problem);
  const value = kind === 'turn' ? turnOf(line, parsed[kind] as object) : parsed[kind];
  return { kind, value } as PortableRecord;
}

/** The texts of its items go into the line as they are. */
function turnText(turn: PortableTurn): string {
  const { id, sessionId, parentId, status, createdAt, completedAt, input, output, record } = turn;
  const rest = JSON.stringify({ id, sessionId, parentId, status, createdAt, completedAt });
  return `${rest.slice(0, -1)},"input":${input},"output":${output},"record":${record}}`;
}

/** And they come out of it as they were. */
function turnOf(line: string, parsed: object): PortableTurn {
  const texts = membersOf(membersOf(line).get('turn') ?? '{}');
  const textOf = (name: string) => texts.get(name) ?? '';
  return {
    ...(parsed as PortableTurn),
    input: arrayText(textOf('input')),
    output: arrayText(textOf('output')),
    record: textOf('record'),
  };
}

/** Without blanks between the items, as stores have it. */
function arrayText(text: string): string {
  return `[${elementsOf(text).join(',')}]`;
}

function parsedObject(line: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ExportFormatError(number, 'this is no JSON');
  }
  if (typeof value !== 'object' || value === null) throw new ExportFormatError(number, 'this is no record');
  return value as Record<string, unknown>;
}

/** Lines without their newlines. One that has none, at the end, is part of a line that was cut. */
async function* splitLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let number = 1;
  /** Pieces of a line that is not whole yet. */
  let pieces: string[] = [];
  for await (const chunk of bytes) {
    const texts = decoded(chunk).split('\n');
    const last = texts.pop() ?? '';
    for (const text of texts) {
      yield [...pieces, text].join('');
      pieces = [];
      number += 1;
    }
    pieces.push(last);
  }
  decoded(undefined);
  if (pieces.some((piece) => piece !== '')) {
    throw new ExportFormatError(number, 'the export breaks off in the middle of this line');
  }

  function decoded(chunk: Uint8Array | undefined): string {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch {
      throw new ExportFormatError(number, 'from here on this is no UTF-8');
    }
  }
}

/** Exports as lines: what is read is what was written, or it is refused. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { readExport, writeExport } from './portable-lines.ts';
import type { PortableRecord, PortableTurn } from './portable-store.ts';
import { collected, fillStore, recordsOf, streamOf } from './portable-store-samples.contract.ts';
import { openMemoryStore } from './sqlite.ts';

const HEAD = { madeAt: 5, sessions: 4 };

async function written(records: readonly PortableRecord[]): Promise<string> {
  return (await collected(writeExport(HEAD, streamOf(records)))).join('');
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAll(text: string | Uint8Array, size = 1000): Promise<PortableRecord[]> {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  const { head, records } = await readExport(inChunks(bytes, size));
  assert.deepEqual(head, HEAD);
  return collected(records);
}

const refused = (text: string | Uint8Array, message: RegExp) =>
  assert.rejects(readAll(text), { name: 'ExportFormatError', message });

describe('the lines of an export', () => {
  let records: PortableRecord[];
  let text: string;
  before(async () => {
    const store = openMemoryStore();
    await fillStore(store);
    records = await recordsOf(store);
    // A few of each kind are enough to cut and to change.
    records = records.filter(({ kind }, at, all) => kind !== 'audit' || all[at - 3]?.kind !== 'audit');
    text = await written(records);
    await store.close();
  });

  it('give the records that were written, however the bytes come', async () => {
    for (const size of [7, 1000, text.length * 2]) assert.deepEqual(await readAll(text, size), records);
  });

  it('keep the texts of items as they are', async () => {
    const wild: PortableTurn = {
      id: 't',
      sessionId: 's',
      parentId: null,
      status: 'completed',
      createdAt: 1,
      completedAt: 2,
      input: '[{"type":"message","id":"a","n":1.0,"big":12345678901234567890,"twice":1,"twice":2}]',
      output: '[]',
      record: '{"provider":"\\u006f","later":1e400}',
    };
    const turn: PortableRecord = { kind: 'turn', value: wild };
    const line = await written([turn]);
    assert.deepEqual(await readAll(line), [turn]);
  });

  it('are refused when they break off, with the number of the line', async () => {
    const lines = text.split('\n').slice(0, -1);
    for (const count of [1, 2, Math.floor(lines.length / 2), lines.length - 1]) {
      const whole = lines.slice(0, count).map((line) => `${line}\n`);
      await refused(whole.join(''), new RegExp(`^line ${count + 1}: the export breaks off here`));
      if (count > 1) {
        const cut = whole.join('').slice(0, -5);
        await refused(cut, new RegExp(`^line ${count}: the export breaks off in the middle`));
      }
    }
    await refused('', /^line 1: this is no export of Parley$/);
  });

  it('are refused when lines are missing, doubled, changed or added', async () => {
    const lines = text.split('\n').slice(0, -1);
    const [head = '', first = '', ...rest] = lines;
    const joined = (...some: string[]) => some.map((line) => `${line}\n`).join('');
    const count = lines.length - 2;
    await refused(joined(head, ...rest), new RegExp(`had ${count} records, and here are ${count - 1}$`));
    await refused(joined(head, first, first, ...rest), new RegExp(`had ${count} records, and here are`));
    await refused(joined(head, first, head, ...rest), /^line 3: a head where a record should be$/);
    await refused(joined(...lines, first), new RegExp(`^line ${count + 3}: there is something after`));
    await refused(joined(head, 'null', ...rest), /^line 2: this is no record$/);
    await refused(joined(head, '{"a":1', ...rest), /^line 2: this is no JSON$/);
    await refused(joined(head, '{"later":{}}', ...rest), /^line 2: no record that this program knows$/);
    await refused(joined(head, '{"__proto__":{}}', ...rest), /^line 2: no record that this program knows$/);
    await refused(
      joined(head, '{"bypass":{"network":"::1"}}'),
      /^line 2: "bypass.note" must be text of whole characters, or null$/,
    );
    const more = '{"stoppedProvider":{"provider":"a","note":null,"stoppedAt":1,"later":1}}';
    await refused(joined(head, more), /^line 2: "stoppedProvider.later" is unknown$/);
    const nested = '{"turn":{"id":"t","sessionId":"s","parentId":null,"status":"in_progress"}}';
    await refused(joined(head, nested), /^line 2: "turn.status" must be the state of a turn that is over$/);
  });

  it('are refused whichever byte was changed', async () => {
    const bytes = new TextEncoder().encode(text);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 2), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = bytes.slice();
        changed[at] = (bytes[at] ?? 0) ^ change;
        await assert.rejects(readAll(changed), (error: Error) => {
          // The head's own numbers are compared by the test, before the hash is.
          return error.name === 'ExportFormatError' || at < text.indexOf('\n');
        });
      }),
      { numRuns: 200 },
    );
  });

  it('of other versions, and other files, are refused at once', async () => {
    await refused(
      text.replace('"version":1', '"version":2'),
      /^line 1: the export is of version 2, and this/,
    );
    await refused('{"name":"parley"}\n', /^line 1: this is no export of Parley$/);
    await refused(Uint8Array.of(0x1f, 0x8b, 0x08, 0x0a), /^line 1: from here on this is no UTF-8$/);
  });
});

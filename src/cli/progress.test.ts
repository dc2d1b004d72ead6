/** How far a command has come, as it is shown: by a clock of the test's own. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PortableKind, PortableRecord } from '../stores/portable-store.ts';
import { createMoveCounts } from './move-counts.ts';
import { createProgress } from './progress.ts';

const record = (kind: PortableKind) => ({ kind, value: {} }) as PortableRecord;

function shown(sessions: number, isTTY: boolean) {
  const counts = createMoveCounts();
  let text = '';
  let time = 0;
  const stream = { isTTY, write: (piece: string) => (text += piece) };
  const progress = createProgress({ done: 'exported', counts, sessions, stream, now: () => time });
  return {
    /** So many milliseconds later. */
    step(milliseconds: number, kind: PortableKind = 'session') {
      time += milliseconds;
      counts.add(record(kind));
      progress.step();
    },
    end: () => progress.end(),
    text: () => text,
  };
}

describe('progress', () => {
  it('is a bar on a terminal, which goes when it is over', () => {
    const one = shown(4, true);
    one.step(99);
    assert.equal(one.text(), '');
    one.step(1, 'turn');
    one.step(100);
    one.end();
    const [, first, second, ...last] = one.text().split('\r\u001b[2K');
    assert.equal(first, '[#######-----------------------]  25 % 1 of 4 sessions, 1 turn');
    assert.equal(second, '[###############---------------]  50 % 2 of 4 sessions, 1 turn');
    assert.deepEqual(last, ['']);
  });

  it('is a line every few seconds elsewhere, and none for what is quick', () => {
    const one = shown(2000, false);
    for (let count = 0; count < 2500; count += 1) one.step(4);
    one.end();
    assert.equal(
      one.text(),
      'exported 1,250 of 2,000 sessions, 0 turns\nexported 2,500 of 2,500 sessions, 0 turns\n',
    );
    const quick = shown(1, true);
    quick.step(1);
    quick.end();
    assert.equal(quick.text(), '');
  });

  it('knows no share of nothing', () => {
    const one = shown(0, true);
    one.step(200, 'audit');
    assert.match(one.text(), /\[-{30}\] {3}0 % 0 of 0 sessions, 0 turns$/);
  });
});

describe('counts', () => {
  it('name what there was, and only that', () => {
    const counts = createMoveCounts();
    assert.equal(counts.text(), 'nothing');
    for (const kind of ['session', 'session', 'sessionGone', 'turn', 'audit', 'audit'] as const) {
      counts.add(record(kind));
    }
    assert.equal(counts.text(), '1 session, 1 turn, 2 entries of the audit log');
  });
});

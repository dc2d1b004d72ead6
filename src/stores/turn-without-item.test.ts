import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerMessage, sampleOutcome, userMessage } from './store-samples.contract.ts';
import { parseRecord, recordJson } from './stored-json.ts';
import { turnWithoutItem } from './turn-without-item.ts';

const record = recordJson(sampleOutcome());

test('what stays of a turn is what it was to the byte', () => {
  const odd = '{"id":"kept","n":1.0e2,"x": {"z":1,"a":"],\\"\\ud800\\u0000"},"big":12345678901234567890}';
  const gone = '{"n":[{"id":"kept"}],"type":"message","id":"go\\u006ee"}';
  const turn = {
    status: 'completed',
    input: `[${gone},${odd},${gone}]`,
    output: `[${odd}]`,
    record,
  } as const;
  assert.deepEqual(turnWithoutItem(turn, 'gone'), { ...turn, input: `[${odd}]` });
  const swapped = { ...turn, input: turn.output, output: turn.input };
  const left = turnWithoutItem(swapped, 'gone');
  assert.deepEqual([left?.input, left?.output], [`[${odd}]`, `[${odd}]`]);
  assert.equal(turnWithoutItem(turn, 'absent'), null);
});

test('the trace goes with an item of the output, and with nothing else', () => {
  const [asked, answer] = [userMessage(), answerMessage()];
  const turn = {
    status: 'completed',
    input: JSON.stringify([asked]),
    output: JSON.stringify([answer]),
    record,
  } as const;
  assert.equal(turnWithoutItem(turn, asked.id)?.record, record);
  const left = turnWithoutItem(turn, answer.id);
  assert.deepEqual(left && { ...left, record: parseRecord(left.record) }, {
    ...turn,
    output: '[]',
    record: { ...parseRecord(record), trace: null },
  });
});

test('a turn that runs has input alone', () => {
  const asked = userMessage();
  const turn = { status: 'in_progress', input: JSON.stringify([asked]), output: null, record: null } as const;
  assert.deepEqual(turnWithoutItem(turn, asked.id), { ...turn, input: '[]' });
  assert.equal(turnWithoutItem(turn, 'absent'), null);
});

test('a cancelled turn that loses its message is incomplete, and another stays as it is', () => {
  const answer = answerMessage();
  const input = '[{"type":"message","id":"in"}]';
  const output = JSON.stringify([{ ...answer, id: 'other' }, answer]);
  const turn = { status: 'cancelled', input, output, record } as const;
  const left = turnWithoutItem(turn, 'other');
  assert.equal(left?.status, 'cancelled');
  assert.equal(left && turnWithoutItem(left, answer.id)?.status, 'incomplete');
  assert.equal(turnWithoutItem(turn, 'in')?.status, 'cancelled');
  const wordless = { ...turn, output: '[{"type":"reasoning","id":"r"}]' };
  assert.equal(turnWithoutItem(wordless, 'r')?.status, 'cancelled');
});

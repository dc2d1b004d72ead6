import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRedact } from './redact.ts';

const redact = createRedact(['my$key', 'other-key']);

test('secrets are blanked wherever they stand', () => {
  assert.equal(redact('my$key and my$key, other-key'), '*** and ***, ***');
});

test('what looks like a key is blanked', () => {
  assert.equal(
    redact('Incorrect API key provided: sk-proj-ab**cd. See'),
    'Incorrect API key provided: sk-*** See',
  );
  assert.equal(redact('got "Bearer abc.def"'), 'got "Bearer ***"');
  assert.equal(redact('a task-force'), 'a task-force');
});

test('texts are cut to 500 characters after blanking', () => {
  assert.equal(redact(`${'x'.repeat(497)}my$key`), `${'x'.repeat(497)}***`);
  assert.equal(redact('x'.repeat(600)).length, 500);
});

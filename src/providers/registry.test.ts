import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../errors.ts';
import { createDemo } from './demo.ts';
import type { Provider } from './provider.ts';
import { createProviders } from './registry.ts';

const named = (name: string): Provider => ({ ...createDemo(), name });
const first = named('first');
const second = named('second');

test('names are found whatever their case and the space around them', () => {
  const providers = createProviders([first, second], null);
  assert.equal(providers.get('second'), second);
  assert.equal(providers.get('  SeCond\n'), second);
  assert.deepEqual(providers.all, [first, second]);
});

test('an unknown name tells the known ones', () => {
  const providers = createProviders([first, second], null);
  const isNotFound = (error: unknown) => {
    assert.ok(error instanceof AppError && error.code === 'provider_not_found');
    assert.deepEqual(error.details, { provider: 'third', known: ['first', 'second'] });
    return true;
  };
  assert.throws(() => providers.get('third'), isNotFound);
  assert.throws(() => createProviders([first, second], 'third'), isNotFound);
});

test('the default is the one that is named, else the first', () => {
  assert.equal(createProviders([first, second], null).default, first);
  assert.equal(createProviders([first, second], ' SECOND').default, second);
});

test('an empty list and a name that stands twice are refused', () => {
  assert.throws(() => createProviders([], null), /at least one/);
  assert.throws(() => createProviders([first, named('First')], null), /two providers/);
});

test('closing closes every provider', async () => {
  const closed: string[] = [];
  const closing = (name: string): Provider => ({
    ...named(name),
    close: async () => {
      closed.push(name);
    },
  });
  await createProviders([closing('a'), closing('b')], null).close();
  assert.deepEqual(closed, ['a', 'b']);
});

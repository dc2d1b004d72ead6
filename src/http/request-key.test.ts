import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import fc from 'fast-check';
import { libraryKey, messageKey, sessionKey } from './request-key.ts';

const fingerprint = (body: object, provider?: string) => messageKey('k', body, provider, 60)?.fingerprint;

/** The same JSON with the keys of every object in another order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([name, inner]) => [name, reversed(inner)] as const);
  return Object.fromEntries(fields.toReversed());
}

const json = fc.jsonValue({ maxDepth: 4 });
const body = fc.dictionary(fc.string({ unit: 'binary' }), json, { maxKeys: 5 });
const delivery = fc.record(
  {
    stream: fc.boolean(),
    on_busy: fc.constantFrom('queue', 'reject', 'interrupt'),
    on_disconnect: fc.constantFrom('continue', 'cancel'),
  },
  { requiredKeys: [] },
);

describe("the key of a message's request", () => {
  it('is null without the header, and lasts as long as it is told', () => {
    assert.equal(messageKey(undefined, { content: 'x' }, undefined, 60), null);
    mock.timers.enable({ apis: ['Date'], now: 1000 });
    try {
      const key = messageKey('abc', { content: 'x' }, undefined, 60);
      assert.equal(key?.value, 'abc');
      assert.equal(key?.expiresAt, 61_000);
      assert.match(key?.fingerprint ?? '', /^[\w-]{43}$/);
    } finally {
      mock.timers.reset();
    }
  });

  it('is the same in whatever order keys are written, and however the answer is delivered', () => {
    fc.assert(
      fc.property(body, delivery, delivery, (asked, one, other) => {
        const first = { ...asked, ...one };
        const again = reversed({ ...asked, ...other }) as object;
        // What is asked may itself have been drawn with a field of delivery's name: it is then no part of it.
        assert.equal(fingerprint(first), fingerprint(again));
      }),
    );
  });

  it('tells apart whatever else differs', () => {
    fc.assert(
      fc.property(body, body, (one, other) => {
        const isSame = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        assert.equal(fingerprint(one) === fingerprint(other), isSame);
      }),
    );
  });

  it('tells apart a body that differs in one field, at any depth', () => {
    fc.assert(
      fc.property(body, fc.string(), json, json, (asked, name, one, other) => {
        fc.pre(JSON.stringify(sorted(one)) !== JSON.stringify(sorted(other)));
        const deep = (value: unknown) => ({ ...asked, options: { inner: [{ [name]: value }] } });
        assert.notEqual(fingerprint(deep(one)), fingerprint(deep(other)));
      }),
    );
  });

  it('knows null, absence and order in lists from one another', () => {
    const all = [
      { content: 'x' },
      { content: 'x', parent_turn_id: null },
      { content: 'x', options: { stop: ['a', 'b'] } },
      { content: 'x', options: { stop: ['b', 'a'] } },
      { content: 'x', options: { stop: 'a,b' } },
      { content: 'x', options: { '0': 'a', '1': 'b' } },
      { content: 'x', options: ['a', 'b'] },
    ].map((one) => fingerprint(one));
    assert.equal(new Set(all).size, all.length);
  });

  it('counts what is inside of options, even under a name of delivery', () => {
    const plain = fingerprint({ content: 'x', options: {} });
    assert.notEqual(fingerprint({ content: 'x', options: { stream: true } }), plain);
  });

  it('has the provider of the header in it, apart from that of the body', () => {
    const asked = { content: 'x' };
    assert.notEqual(fingerprint(asked, 'openai'), fingerprint(asked));
    assert.notEqual(fingerprint(asked, 'openai'), fingerprint({ ...asked, provider: 'openai' }));
  });
});

describe("the key of a session's request", () => {
  it('has the whole body in it', () => {
    const of = (asked: object) => sessionKey('k', asked, 60)?.fingerprint;
    assert.equal(of({ title: 'a', model: 'b' }), of({ model: 'b', title: 'a' }));
    assert.notEqual(of({ title: 'a' }), of({ title: null }));
    assert.equal(sessionKey(undefined, {}, 60), null);
  });
});

/** The JSON with the keys of every object sorted. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const names = Object.keys(value).sort();
  return names.map((name) => [name, sorted((value as Record<string, unknown>)[name])]);
}

describe('the key of a library that sends again by itself', () => {
  const body = { model: 'm', input: 'Hello' };
  const keyAt = (tries: string, target = '/v1/responses', asked: object = body) =>
    libraryKey({ 'x-stainless-retry-count': tries }, target, asked, 60);

  it('is the same for every try of a request, and new with the first', () => {
    const [first, second, third] = ['0', '1', '2'].map((tries) => keyAt(tries));
    assert.ok(first && second && third);
    assert.equal(first.takesOver, true);
    assert.deepEqual([second.takesOver, third.takesOver], [undefined, undefined]);
    assert.equal(second.value, first.value);
    assert.equal(third.value, first.value);
    assert.equal(second.fingerprint, first.fingerprint);
  });

  it('is another for another target or body', () => {
    const values = [keyAt('1'), keyAt('1', '/v1/other'), keyAt('1', '/v1/responses', { ...body, n: 1 })];
    assert.equal(new Set(values.map((key) => key?.value)).size, 3);
  });

  it('gives way to an Idempotency-Key, and is none without a count', () => {
    const headers = { 'idempotency-key': 'mine', 'x-stainless-retry-count': '0' };
    const key = libraryKey(headers, '/v1/responses', body, 60);
    assert.deepEqual([key?.value, key?.takesOver], ['mine', undefined]);
    assert.equal(libraryKey({}, '/v1/responses', body, 60), null);
    assert.equal(libraryKey({ 'x-stainless-retry-count': 'many' }, '/v1/responses', body, 60), null);
  });
});

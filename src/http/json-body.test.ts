import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import Fastify, { type FastifyInstance } from 'fastify';
import { sendError } from './error-response.ts';
import { acceptJsonOnly, MAX_DEPTH, MAX_VALUES } from './json-body.ts';
import { startTiming } from './server-timing.ts';

let app: FastifyInstance;
let parsed: unknown;

before(() => {
  app = Fastify({ bodyLimit: 8 * 1024 * 1024 });
  app.decorateReply('errorCode', null);
  app.addHook('onRequest', async (request) => {
    request.timing = startTiming();
  });
  app.setErrorHandler(sendError);
  acceptJsonOnly(app);
  app.post('/', ({ body }, reply) => {
    parsed = body;
    return reply.code(204).send();
  });
});
after(() => app.close());

/** The code of the error with which a body is refused; null for one that is taken, which then is in `parsed`. */
async function refusalOf(payload: string): Promise<{ code: string; message: string | undefined } | null> {
  parsed = undefined;
  const headers = { 'content-type': 'application/json' };
  const answer = await app.inject({ method: 'POST', url: '/', headers, payload });
  if (answer.statusCode === 204) return null;
  assert.equal(answer.statusCode, 400, answer.payload);
  const { code, details } = answer.json().error;
  return { code, message: details?.problems[0].message };
}

/** Keys that mean something to objects, some of them in the other way that JSON can write them. */
const key = fc.oneof(
  fc.constantFrom(
    '"__proto__"',
    '"\\u005f_proto\\u005f\\u005f"',
    '"constructor"',
    '"prototype"',
    '"toString"',
  ),
  fc.constantFrom('"hasOwnProperty"', '"valueOf"', '"length"', '"0"', '"a"', '""', '"toJSON"', '"then"'),
);

/** JSON as text: keys may come twice, and may be what no object literal can have. */
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('null', 'true', '0', '-0', '1e999', '"x"', '"\\"__proto__\\": "', '""'),
    fc.array(tie('json'), { maxLength: 4 }).map((elements) => `[${elements.join(',')}]`),
    fc
      .array(fc.tuple(key, tie('json')), { maxLength: 6 })
      .map((fields) => `{${fields.map(([name, value]) => `${name}: ${value}`).join(',')}}`),
  ),
}));

/** Whether copying the value into another could reach a prototype. */
function reaches(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  const { constructor } = value as { constructor: unknown };
  const own = Object.hasOwn(value, 'constructor') && typeof constructor === 'object' && constructor !== null;
  return (own && Object.hasOwn(constructor, 'prototype')) || Object.values(value).some(reaches);
}

describe('a body', () => {
  it('is what JSON says it is, or is refused where it could reach a prototype, which nothing does', async () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const seen = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(json, async (text) => {
        const expected: unknown = JSON.parse(text);
        const refusal = await refusalOf(text);
        if (reaches(expected)) {
          seen.refused += 1;
          assert.equal(refusal?.code, 'invalid_request');
          assert.match(refusal.message ?? '', /__proto__/);
        } else {
          seen.taken += 1;
          assert.equal(refusal, null);
          assert.deepEqual(parsed, expected);
        }
      }),
      { numRuns: 500 },
    );
    assert.ok(seen.taken > 50 && seen.refused > 50, JSON.stringify(seen));
    assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
    assert.equal(Object.getPrototypeOf({}), Object.prototype);
  });

  it('has the last of what is there twice, however often that is', async () => {
    const count = 300_000;
    const fields = Array.from({ length: count }, (_, index) => `"k":${index}`);
    assert.equal(await refusalOf(`{${fields.join(',')}}`), null);
    assert.deepEqual(parsed, { k: count - 1 });
  });

  it('is as deep as anything real is', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    assert.equal(await refusalOf(nested(MAX_DEPTH)), null);
    const tooDeep = [nested(MAX_DEPTH + 1), nested(100_000), nested(2_000_000)];
    tooDeep.push(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`);
    tooDeep.push(`${'[{"a":'.repeat(100_000)}1${'}]'.repeat(100_000)}`);
    for (const text of tooDeep) assert.match((await refusalOf(text))?.message ?? '', /nested deeper/);
    // Not JSON at all, however deep.
    assert.equal((await refusalOf('['.repeat(2_000_000)))?.code, 'invalid_json');
    const reaching = `${'['.repeat(100_000)}{"__proto__": 1}${']'.repeat(100_000)}`;
    assert.match((await refusalOf(reaching))?.message ?? '', /__proto__/);
  });

  it('has as many values as anything real has', async () => {
    // The list is a value as well.
    const list = (length: number) => `[${Array<string>(length).fill('0').join(',')}]`;
    assert.equal(await refusalOf(list(MAX_VALUES - 1)), null);
    for (const text of [list(MAX_VALUES), `[${Array<string>(1_000_000).fill('[]').join(',')}]`]) {
      assert.match((await refusalOf(text))?.message ?? '', /more than 100000 values/);
    }
  });
});

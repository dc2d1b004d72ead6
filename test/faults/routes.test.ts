/**
 * Routes by name, their weights, what a session stays with, and targets that take longer conversations: which
 * target is asked, and why.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Answer, call, newSession, send } from '../acceptance/client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from '../acceptance/parley-process.ts';
import {
  type ProviderDouble,
  type RecordedRequest,
  type Script,
  startProviderDouble,
} from '../provider-double.ts';
import { playedBy, playerOf } from './stage.ts';

const routes = {
  ordered: [
    { provider: 'alpha', model: 'large' },
    { provider: 'beta', model: 'small' },
    { provider: 'gamma' },
  ],
  same: [
    { provider: 'alpha', model: 'first' },
    { provider: 'alpha', model: 'second' },
  ],
  weighted: [
    { provider: 'alpha', weight: 3 },
    { provider: 'beta', weight: 1 },
  ],
  spare: [
    { provider: 'beta', model: 'spare', weight: 0 },
    { provider: 'alpha', model: 'main', weight: 1 },
  ],
  growing: [
    { provider: 'alpha', model: 'short', context_tokens: 1000 },
    { provider: 'beta', model: 'as-short', context_tokens: 1000 },
    { provider: 'beta', model: 'untold' },
    { provider: 'gamma', model: 'long', context_tokens: 100_000 },
  ],
  narrow: [
    { provider: 'alpha', model: 'narrow', context_tokens: 1000 },
    { provider: 'beta', model: 'narrower', context_tokens: 500 },
  ],
};

let double: ProviderDouble;
let parley: ParleyProcess;
let freshModels = 0;

before(async () => {
  double = await startProviderDouble();
  const providers = ['alpha', 'beta', 'gamma'].map((name) => ({
    name,
    base_url: playedBy(double, name),
    model: `${name}-1`,
  }));
  parley = await startParleyWithYaml({ providers, routes }, { DATABASE_URL: 'memory:' });
});

after(async () => {
  await removeParley(parley);
  await double.close();
});

/** A failure that says nothing of a target's health: what one test does to a target is nothing to another. */
const unknown: Script = { status: 404 };

/** What each target answers, by `provider` or `provider/model`; the others say who they are. */
function play(scripts: Record<string, Script>): void {
  double.reset();
  double.respond((request) => {
    const target = targetOf(request);
    return scripts[target] ?? scripts[playerOf(request)] ?? { text: target };
  });
}

const targetOf = (request: RecordedRequest) => `${playerOf(request)}/${request.body.model}`;

/** The targets asked since the scripts were given. */
const asked = (): string[] => double.requests.map(targetOf);

async function answered(sent: Promise<Answer>): Promise<{ provider: string; model: string; source: string }> {
  const { status, body } = await sent;
  assert.equal(status, 200, JSON.stringify(body));
  return { provider: body.provider, model: body.model, source: body.provider_source };
}

describe("a route's name", () => {
  it('is a model of a session and of a request, and its targets are asked in order', async () => {
    play({ 'alpha/large': unknown, 'beta/small': unknown });
    const inSession = await newSession(parley.url, { model: 'ordered' });
    const first = await answered(send(parley.url, inSession, 'Hello'));
    assert.deepEqual([first.provider, first.model, first.source], ['gamma', 'gamma-1', 'fallback']);
    assert.deepEqual(asked(), ['alpha/large', 'beta/small', 'gamma/gamma-1']);

    play({});
    const inRequest = await newSession(parley.url);
    const second = await answered(send(parley.url, inRequest, 'Hello', { model: 'same' }));
    assert.deepEqual([second.provider, second.model, second.source], ['alpha', 'first', 'override']);
  });

  it('may have several models of one provider', async () => {
    play({ 'alpha/first': unknown });
    const sessionId = await newSession(parley.url, { model: 'same' });
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).model, 'second');
    assert.deepEqual(asked(), ['alpha/first', 'alpha/second']);
  });

  it('is listed with its targets', async () => {
    const { body } = await call(parley.url, 'GET', '/providers');
    assert.deepEqual(
      body.routes.map(({ name }: { name: string }) => name),
      Object.keys(routes),
    );
    const listed = body.routes.find(({ name }: { name: string }) => name === 'ordered');
    assert.deepEqual(
      listed.targets.map(({ provider, model }: any) => [provider, model]),
      [
        ['alpha', 'large'],
        ['beta', 'small'],
        ['gamma', 'gamma-1'],
      ],
    );
  });
});

describe('weights', () => {
  it('share sessions, and each stays where it began', async () => {
    play({});
    const counts: Record<string, number> = { alpha: 0, beta: 0 };
    const sessions = 400;
    for (let started = 0; started < sessions; started += 20) {
      await Promise.all(Array.from({ length: 20 }, () => converse(counts)));
    }
    // Three of four, within six standard deviations: chance alone leaves it once in 500 million runs.
    const deviation = Math.sqrt(sessions * 0.75 * 0.25);
    const alphas = counts['alpha'] ?? 0;
    assert.ok(Math.abs(alphas - sessions * 0.75) < 6 * deviation, `${alphas} of ${sessions}`);
    assert.equal(alphas + (counts['beta'] ?? 0), sessions);
  });

  it('of nothing mean: only when the others fail', async () => {
    play({});
    const ids = await Promise.all(
      Array.from({ length: 20 }, () => newSession(parley.url, { model: 'spare' })),
    );
    for (const id of ids) assert.equal((await answered(send(parley.url, id, 'Hello'))).provider, 'alpha');
    play({ 'alpha/main': unknown });
    const sessionId = await newSession(parley.url, { model: 'spare' });
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'beta');
  });
});

async function converse(counts: Record<string, number>): Promise<void> {
  const sessionId = await newSession(parley.url, { model: 'weighted' });
  const providers: string[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    providers.push((await answered(send(parley.url, sessionId, 'Hello'))).provider);
  }
  const [first = ''] = providers;
  assert.deepEqual(providers, [first, first, first]);
  counts[first] = (counts[first] ?? 0) + 1;
}

describe('a session that another target has answered', () => {
  /** A session whose first choice failed once and is well again. */
  async function fallenBack(settings: object = {}) {
    freshModels += 1;
    const model = `m-${freshModels}`;
    play({ alpha: unknown });
    const fallback_providers = [`beta/${model}`, `gamma/${model}`];
    const sessionId = await newSession(parley.url, {
      provider: 'alpha',
      model,
      fallback_providers,
      ...settings,
    });
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'beta');
    play({});
    return { sessionId, model };
  }

  it('stays with it', async () => {
    const { sessionId, model } = await fallenBack();
    for (let turn = 0; turn < 3; turn += 1) {
      assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'beta');
    }
    assert.deepEqual(asked(), Array<string>(3).fill(`beta/${model}`));
  });

  it('leaves it when it fails, and stays with the next', async () => {
    const { sessionId } = await fallenBack();
    play({ beta: unknown });
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'alpha');
    play({});
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'alpha');
  });

  it('leaves it while it rests', async () => {
    const { sessionId, model } = await fallenBack();
    play({ beta: { status: 429, headers: { 'retry-after': '600' } } });
    const other = await newSession(parley.url, { provider: 'beta', model });
    assert.equal((await send(parley.url, other, 'Hello')).status, 429);
    play({});
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'alpha');
    assert.deepEqual(asked(), [`alpha/${model}`]);
  });

  it('leaves it for the target that a request names, and for that request alone is told to override', async () => {
    const { sessionId, model } = await fallenBack();
    const named = await answered(send(parley.url, sessionId, 'Hello', { provider: 'gamma', model }));
    assert.deepEqual([named.provider, named.source], ['gamma', 'override']);
  });

  for (const change of [
    { provider: 'alpha' },
    { model: 'another' },
    { fallback_providers: ['gamma'] },
  ] as const) {
    it(`leaves it when the session's ${Object.keys(change)[0]} is changed`, async () => {
      const { sessionId } = await fallenBack();
      assert.equal((await call(parley.url, 'PATCH', `/sessions/${sessionId}`, change)).status, 200);
      assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'alpha');
    });
  }

  it('stays with it when something else of the session is changed', async () => {
    const { sessionId } = await fallenBack();
    await call(parley.url, 'PATCH', `/sessions/${sessionId}`, { title: 'Another title' });
    assert.equal((await answered(send(parley.url, sessionId, 'Hello'))).provider, 'beta');
  });
});

describe('a conversation that is too long for a target', () => {
  const tooLong: Script = {
    status: 400,
    error: { code: 'context_length_exceeded', message: 'It is too long.' },
  };

  for (const streaming of [true, false]) {
    it(`goes to one that is declared to take more, and to no other, ${streaming ? 'streamed' : 'whole'}`, async () => {
      play({ 'alpha/short': tooLong });
      const sessionId = await newSession(parley.url, { model: 'growing' });
      const { status, body } = await send(parley.url, sessionId, 'Hello', { stream: streaming });
      assert.equal(status, 200);
      assert.deepEqual(asked(), ['alpha/short', 'gamma/long']);
      if (!streaming) assert.equal(body.message.content, 'gamma/long');
    });

    it(`is the caller's error where none takes more, ${streaming ? 'streamed' : 'whole'}`, async () => {
      play({ 'alpha/narrow': tooLong });
      const sessionId = await newSession(parley.url, { model: 'narrow' });
      const { status, body } = await send(parley.url, sessionId, 'Hello', { stream: streaming });
      assert.deepEqual([status, body.error.code], [400, 'context_length_exceeded']);
      assert.equal(body.error.details.provider_message, 'It is too long.');
      assert.deepEqual(asked(), ['alpha/narrow']);
    });
  }

  it('is the error of the last one where that takes too little as well', async () => {
    play({ 'alpha/short': tooLong, 'gamma/long': tooLong });
    const sessionId = await newSession(parley.url, { model: 'growing' });
    const { status, body } = await send(parley.url, sessionId, 'Hello');
    assert.deepEqual([status, body.error.code], [400, 'context_length_exceeded']);
    assert.deepEqual(asked(), ['alpha/short', 'gamma/long']);
  });
});

/**
 * Who answers when a provider fails, as sessions and the server choose it, and what a client is told when nobody
 * does: enough, and nothing of the provider's own words but what concerns the request. Which failure means what:
 * `test/faults/`.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertFailed } from '../faults/honesty.ts';
import { ask, attemptsOf, openStage, type Scene, type Stage } from '../faults/stage.ts';
import { providerErrorMessage, type Script } from '../provider-double.ts';
import { call, newSession } from './client.ts';

/** Falls back to beta. */
let stage: Stage;

/** Recognisable text of a provider that no client may see. */
const rawBody = 'raw-body-of-the-provider';

const well: Script = { text: ['from ', 'beta'] };

before(async () => {
  stage = await openStage({ env: { FALLBACK_PROVIDERS: 'beta' } });
});

after(() => stage.close());

test("the server's fallbacks answer for sessions that name none", async () => {
  stage.play('served', { alpha: { status: 401 } });
  stage.play('beta-1', { beta: well });
  for (const streaming of [true, false]) {
    const sessionId = await newSession(stage.url, { provider: 'alpha', model: 'served' });
    const { body } = await ask(stage.url, sessionId, streaming);
    assert.deepEqual(
      [body.provider, body.model, body.provider_source, body.message?.content],
      ['beta', 'beta-1', 'fallback', 'from beta'],
    );
    const turn = await call(stage.url, 'GET', `/sessions/${sessionId}/turns/${body.turn_id}`);
    assert.deepEqual([turn.body.provider, turn.body.provider_source], ['beta', 'fallback']);
    assert.deepEqual(turn.body.attempts, body.attempts);
  }
});

test("a session's own fallbacks replace the server's and are tried in their order", async () => {
  stage.play('own', { alpha: { status: 401 } });
  stage.play('own-1', { gamma: { status: 404 } });
  stage.play('own-2', { beta: { text: 'from the second beta' } });
  const fallback_providers = ['gamma/own-1', 'Beta/own-2'];
  const settings = { provider: 'alpha', model: 'own', fallback_providers };
  const { body } = await ask(stage.url, await newSession(stage.url, settings), false);
  assert.deepEqual(
    body.attempts.map(({ provider, model, error }: any) => [provider, model, error?.kind ?? null]),
    [
      ['alpha', 'own', 'unauthorized'],
      ['gamma', 'own-1', 'model_not_found'],
      ['beta', 'own-2', null],
    ],
  );

  stage.play('gamma-1', { gamma: { text: 'from gamma' } });
  const single = { provider: 'alpha', model: 'own', fallback_provider: 'gamma' };
  const told = await ask(stage.url, await newSession(stage.url, single), false);
  assert.deepEqual([told.body.provider, told.body.message?.content], ['gamma', 'from gamma']);
});

test('an empty list of fallbacks means none', async () => {
  const scene = await stage.scene({ alpha: { status: 401 } });
  const { status, body } = await scene.ask(false);
  assert.equal(status, 502);
  assert.equal(body.error.details.attempts.length, 1);
});

test('a fallback that stands in the list twice, or is the chosen one, is one target', async () => {
  stage.play('twice', { alpha: { status: 401 }, beta: { status: 401 } });
  const fallback_providers = ['alpha/twice', 'beta/twice', 'beta/twice'];
  const settings = { provider: 'alpha', model: 'twice', fallback_providers };
  const told = await ask(stage.url, await newSession(stage.url, settings), false);
  assert.deepEqual(
    attemptsOf(told).map(([provider]) => provider),
    ['alpha', 'beta'],
  );
});

const callersOwn: [string, Script, string][] = [
  ['status 400', { status: 400 }, 'provider_rejected_request'],
  ['a content filter', { status: 400, error: { code: 'content_filter' } }, 'content_filtered'],
  [
    "OpenRouter's moderation",
    { status: 403, error: { code: 403, metadata: { reasons: ['x'], flagged_input: rawBody } } },
    'content_filtered',
  ],
  [
    'too long a context',
    { status: 400, error: { code: 'context_length_exceeded' } },
    'context_length_exceeded',
  ],
];

for (const [name, script, code] of callersOwn) {
  test(`${name} is the caller's own error: no fallback, and the provider's message alone`, async () => {
    const error = { message: providerErrorMessage, param: rawBody, type: rawBody, ...script.error };
    for (const streaming of [false, true]) {
      const scene = await stage.scene({ alpha: { ...script, error }, beta: well });
      const told = await scene.ask(streaming);
      await assertFailed(scene, told, { status: 400, code });
      assert.equal(told.body.error.details.provider_message, providerErrorMessage);
      assert.doesNotMatch(JSON.stringify(told.body), new RegExp(rawBody));
      assert.deepEqual(scene.asked(), ['alpha']);
    }
  });
}

const refused: Script = { status: 401 };
const limited: Script = { status: 429, headers: { 'retry-after': '600' } };

const allFail: [string, Script, Script, number, string][] = [
  ['fails', refused, { status: 404 }, 502, 'provider_error'],
  ['limits requests', limited, limited, 429, 'provider_rate_limited'],
  ['fails in its own way', limited, refused, 502, 'provider_error'],
];

for (const [name, alpha, beta, expected, code] of allFail) {
  test(`when everyone ${name} the answer is ${expected} with the attempts, streaming or not`, async () => {
    const error = { message: rawBody, code: rawBody };
    for (const streaming of [false, true]) {
      const scene = await stage.scene({ alpha: { error, ...alpha }, beta: { error, ...beta } });
      const told = await scene.ask(streaming);
      await assertFailed(scene, told, { status: expected, code });
      assert.match(told.headers.get('content-type') ?? '', /^application\/json/);
      assert.equal(told.body.request_id, told.headers.get('x-request-id'));
      assert.deepEqual(
        attemptsOf(told).map(([provider]) => provider),
        ['alpha', 'beta'],
      );
      await assertNothingTold(scene, told);
    }
  });
}

async function assertNothingTold(scene: Scene, told: Awaited<ReturnType<Scene['ask']>>): Promise<void> {
  const turn = await scene.turn(told);
  assert.equal(turn.input[0].content[0].text, 'Tell');
  for (const shown of [told.body, turn]) {
    assert.doesNotMatch(JSON.stringify(shown), new RegExp(rawBody));
  }
}

test('what a provider says of its failure in the middle of an answer is told to nobody', async () => {
  const error = { code: 500, message: rawBody };
  const scene = await stage.scene({ alpha: { text: ['Once ', 'upon'], error } });
  const told = await scene.ask(true);
  await assertFailed(scene, told, { status: 200, code: 'provider_error', output: 'Once upon' });
  assert.doesNotMatch(JSON.stringify(told.events), new RegExp(rawBody));
  await assertNothingTold(scene, told);
});

test('a failed turn keeps what there was of its answer as incomplete, and no model sees it later', async () => {
  const script: Script = { text: ['Once ', 'upon'], finishReason: null, done: false, usage: 'never' };
  const scene = await stage.scene({ alpha: script });
  const turn = await scene.turn(await scene.ask(true));
  assert.equal(turn.output[0].status, 'incomplete');
  scene.recast({ alpha: well });
  await scene.ask(false);
  assert.deepEqual(scene.requests.at(-1)?.body.messages, [{ role: 'user', content: 'Tell' }]);
});

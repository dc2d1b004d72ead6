/**
 * Breakers, as clients and operators meet them: a target that fails is left out, tried again after a while, and
 * used all the same where nobody else is there. The server's clock is put forward instead of being waited for.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { call, newSession, send } from '../acceptance/client.ts';
import {
  outputWith,
  type ParleyProcess,
  removeParley,
  startParleyWithYaml,
} from '../acceptance/parley-process.ts';
import { type Script, startProviderDouble } from '../provider-double.ts';
import { openStage, type Player, type Scene, type Stage } from './stage.ts';

/** Loaded before the server: a signal puts its clock forward, by more than a breaker stays open at first. */
const PUT_FORWARD = `
  const now = Date.now;
  let ahead = 0;
  Date.now = () => now() + ahead;
  process.on('SIGUSR2', () => {
    ahead += 11_000;
    process.stdout.write('the clock was put forward\\n');
  });
`;
const movable = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PUT_FORWARD)}` };

const well: Script = { text: ['All ', 'is well'] };
const failing: Script = { status: 500 };
const broken: Script = { text: ['All '], finishReason: null, usage: 'never', done: false };

let stage: Stage;

before(async () => {
  stage = await openStage({ env: movable });
});

after(() => stage.close());

/** Puts the server's clock 11 s forward, so many times. */
async function putForward(parley: ParleyProcess, times = 1): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const count = () => parley.output().split('the clock was put forward').length;
    const before = count();
    parley.process.kill('SIGUSR2');
    await outputWith(parley, () => count() > before);
  }
}

/** How it stands with a target of the scene, as `GET /providers` shows it. */
async function stateOf(scene: Scene, player: Player) {
  const { body } = await call(stage.url, 'GET', '/providers');
  const provider = body.data.find(({ name }: { name: string }) => name === player);
  return provider.targets.find(({ model }: { model: string }) => model === scene.model);
}

/** The targets that a turn of a new session asks. */
async function askedNow(scene: Scene, streaming = false): Promise<string[]> {
  const before = scene.asked().length;
  await (await scene.again()).ask(streaming);
  return scene.asked().slice(before);
}

/** A scene whose first target was refused the key, and is out of service. */
async function opened(others: Partial<Record<Player, Script>> = { beta: well }): Promise<Scene> {
  const scene = await stage.scene({ alpha: { status: 401 }, ...others });
  await scene.ask(false);
  assert.equal((await stateOf(scene, 'alpha')).state, 'open');
  return scene;
}

describe('a target is left out', () => {
  for (const streaming of [true, false]) {
    it(`after five failures in a row, ${streaming ? 'streamed' : 'whole'}`, async () => {
      const scene = await stage.scene({ alpha: failing, beta: well });
      assert.equal(await stateOf(scene, 'alpha'), undefined);
      for (let turn = 0; turn < 2; turn += 1) {
        assert.deepEqual(await askedNow(scene, streaming), ['alpha', 'alpha', 'beta']);
        const { state, until } = await stateOf(scene, 'alpha');
        assert.deepEqual({ state, until }, { state: 'closed', until: null });
      }
      assert.deepEqual(await askedNow(scene, streaming), ['alpha', 'beta']);
      const { state, since, until } = await stateOf(scene, 'alpha');
      assert.equal(state, 'open');
      // Both are read from a clock that goes on.
      const milliseconds = Date.parse(until) - Date.parse(since);
      assert.ok(milliseconds > 9000 && milliseconds <= 10_000, `${milliseconds}`);
      assert.deepEqual(await askedNow(scene, streaming), ['beta']);
      assert.equal((await stateOf(scene, 'beta')).state, 'closed');
    });
  }

  it('after five streams that broke off', async () => {
    const scene = await stage.scene({ alpha: broken, beta: well });
    for (let turn = 0; turn < 5; turn += 1) {
      assert.deepEqual(await askedNow(scene, true), ['alpha', 'beta']);
    }
    assert.deepEqual(await askedNow(scene, true), ['beta']);
  });

  it('when every other attempt fails, once there were twenty', async () => {
    const inTurns = Array.from({ length: 30 }, () => [failing, well]).flat();
    const scene = await stage.scene({ alpha: inTurns, beta: well });
    for (let turn = 0; turn < 9; turn += 1) assert.deepEqual(await askedNow(scene), ['alpha', 'alpha']);
    assert.equal((await stateOf(scene, 'alpha')).state, 'closed');
    for (let turn = 0; turn < 3; turn += 1) await askedNow(scene);
    assert.equal((await stateOf(scene, 'alpha')).state, 'open');
    assert.deepEqual(await askedNow(scene), ['beta']);
  });

  for (const status of [401, 402, 403]) {
    it(`at once by status ${status}`, async () => {
      const scene = await stage.scene({ alpha: { status }, beta: well });
      assert.deepEqual(await askedNow(scene), ['alpha', 'beta']);
      assert.equal((await stateOf(scene, 'alpha')).state, 'open');
      assert.deepEqual(await askedNow(scene), ['beta']);
    });
  }

  it('of one model, and not of another', async () => {
    const scene = await opened();
    const other = await stage.scene({ alpha: well });
    assert.deepEqual(await askedNow(other), ['alpha']);
    assert.deepEqual(await askedNow(scene), ['beta']);
  });
});

describe('a target is not left out', () => {
  it('for what is no fault of its own', async () => {
    for (const status of [400, 404, 422]) {
      const scene = await stage.scene({ alpha: { status } });
      for (let turn = 0; turn < 6; turn += 1) assert.deepEqual(await askedNow(scene), ['alpha']);
      assert.equal((await stateOf(scene, 'alpha')).state, 'closed', String(status));
    }
  });

  it('for failures between which it answered', async () => {
    const scene = await stage.scene({ alpha: [broken, broken, broken, broken, well, broken], beta: well });
    for (let turn = 0; turn < 8; turn += 1) assert.equal((await askedNow(scene, true))[0], 'alpha');
    assert.equal((await stateOf(scene, 'alpha')).state, 'closed');
  });

  it('because turns were cancelled', async () => {
    const scene = await stage.scene({ alpha: { waitBefore: new Promise(() => undefined) } });
    for (let turn = 0; turn < 6; turn += 1) {
      const session = await scene.again();
      const answer = session.ask(false);
      await arrived(scene, turn + 1);
      const { body } = await call(stage.url, 'GET', `/sessions/${session.sessionId}/turns`);
      await call(stage.url, 'POST', `/sessions/${session.sessionId}/turns/${body.data[0].id}/cancel`);
      assert.equal((await answer).body.error.code, 'turn_cancelled');
    }
    assert.equal((await stateOf(scene, 'alpha')).state, 'closed');
  });
});

/** Waits until the targets of a scene were asked so often. */
async function arrived(scene: Scene, count: number): Promise<void> {
  // Each look is a whole exchange with the server, which leaves it the time to ask.
  while (scene.requests.length < count) await call(stage.url, 'GET', '/health');
}

describe('a target that asked to be left alone', () => {
  const resting: Script = { status: 429, headers: { 'retry-after': '10' } };

  it('rests until then, and is back without a trial', async () => {
    const scene = await stage.scene({ alpha: [resting, well], beta: well });
    assert.deepEqual(await askedNow(scene), ['alpha', 'beta']);
    const { state, until } = await stateOf(scene, 'alpha');
    assert.equal(state, 'resting');
    assert.equal(typeof until, 'string');
    assert.deepEqual(await askedNow(scene), ['beta']);
    await putForward(stage.parley);
    assert.deepEqual((await stateOf(scene, 'alpha')).state, 'closed');
    assert.deepEqual(await askedNow(scene), ['alpha']);
  });
});

describe('a target that was left out', () => {
  it('is tried by one turn alone, and is back when it answers', async () => {
    const scene = await opened();
    await putForward(stage.parley);
    const held = Promise.withResolvers<void>();
    scene.recast({ alpha: { ...well, waitBefore: held.promise } });
    const trial = (await scene.again()).ask(true);
    await arrived(scene, 3);
    assert.equal((await stateOf(scene, 'alpha')).state, 'half_open');
    assert.deepEqual(await askedNow(scene), ['beta']);
    held.resolve();
    assert.equal((await trial).body.provider, 'alpha');
    assert.equal((await stateOf(scene, 'alpha')).state, 'closed');
    assert.deepEqual(await askedNow(scene), ['alpha']);
  });

  it('is left out again when the trial fails, and tried again later', async () => {
    const scene = await opened();
    await putForward(stage.parley);
    scene.recast({ alpha: failing });
    assert.deepEqual(await askedNow(scene), ['alpha', 'beta']);
    assert.equal((await stateOf(scene, 'alpha')).state, 'open');
    assert.deepEqual(await askedNow(scene), ['beta']);
    scene.recast({ alpha: well });
    await putForward(stage.parley, 6);
    assert.deepEqual(await askedNow(scene), ['alpha']);
    assert.equal((await stateOf(scene, 'alpha')).state, 'closed');
  });

  it('is asked all the same where nobody else is there', async () => {
    const scene = await opened({});
    assert.deepEqual(await askedNow(scene), ['alpha']);
    scene.recast({ alpha: well });
    const told = await scene.ask(false);
    assert.equal(told.body.message?.content, 'All is well');
    assert.equal((await stateOf(scene, 'alpha')).state, 'closed');
  });

  it('is asked all the same where all others are left out too', async () => {
    const scene = await opened({ beta: { status: 401 } });
    assert.equal((await stateOf(scene, 'beta')).state, 'open');
    scene.recast({ alpha: well, beta: well });
    const told = await (await scene.again()).ask(false);
    assert.equal(told.body.message?.content, 'All is well');
    assert.equal(scene.asked().length, 3);
  });

  it('is in the log with each change', async () => {
    const scene = await opened();
    await putForward(stage.parley);
    scene.recast({ alpha: well });
    await askedNow(scene);
    const states = () =>
      stage.parley
        .logLines()
        .filter(({ provider, model, msg }) => provider === 'alpha' && model === scene.model && msg !== 'turn')
        .map(({ state }) => state);
    await outputWith(stage.parley, () => states().length >= 3);
    assert.deepEqual(states(), ['open', 'half_open', 'closed']);
  });
});

describe('GET /ready', () => {
  /** A server with one provider, which has nobody to stand in for it. */
  async function alone(context: TestContext) {
    const double = await startProviderDouble();
    context.after(() => double.close());
    const providers = [{ name: 'only', base_url: double.url, model: 'only-1' }];
    const parley = await startParleyWithYaml({ providers }, { DATABASE_URL: 'memory:', ...movable });
    context.after(() => removeParley(parley));
    const ready = () => call(parley.url, 'GET', '/ready');
    const ask = async () => send(parley.url, await newSession(parley.url), 'Hello');
    return { double, parley, ready, ask };
  }

  it('is 503 while every target is left out, until one may be tried', async (context) => {
    const { double, parley, ready, ask } = await alone(context);
    assert.equal((await ready()).status, 200);
    double.respond({ status: 401 });
    assert.equal((await ask()).status, 502);
    const { status, body } = await ready();
    assert.deepEqual(
      [status, body.status, body.checks.providers.status],
      [503, 'unavailable', 'unavailable'],
    );
    const [{ provider, model, state }] = body.checks.providers.targets;
    assert.deepEqual([provider, model, state], ['only', 'only-1', 'open']);
    assert.equal(body.checks.store.status, 'ok');
    await putForward(parley);
    assert.equal((await ready()).status, 200);
    double.respond(well);
    assert.equal((await ask()).status, 200);
    assert.equal((await ready()).body.checks.providers.targets[0].state, 'closed');
  });

  it('stays 200 while a target rests, and while another is there', async (context) => {
    const { double, ready, ask } = await alone(context);
    double.respond({ status: 429, headers: { 'retry-after': '600' } });
    assert.equal((await ask()).status, 429);
    assert.equal((await ready()).status, 200);
    const other = await opened();
    assert.equal((await stateOf(other, 'alpha')).state, 'open');
    assert.equal((await call(stage.url, 'GET', '/ready')).status, 200);
  });
});

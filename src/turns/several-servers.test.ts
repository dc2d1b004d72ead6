/** Turns of several servers on one Redis, in one process: in which order they run, and what each sees of the others'. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import {
  isError,
  type OneSession,
  OWNER,
  openSession,
  reached,
  shownToEnd,
  textOf,
} from '../../test/one-session.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import type { Exchange, Notice } from '../replicas/exchange.ts';
import { createInProcessExchanges, NO_EXCHANGE } from '../replicas/in-process.ts';
import { openStore } from '../stores/open-store.ts';
import type { LiveTurn } from './live-turn.ts';
import type { Turns } from './turns.ts';

describe('turns of several servers', { skip: skipWithoutRedis }, () => {
  let redis: RedisServer;
  let session: OneSession;
  let exchanges: Exchange[];
  let gate: PromiseWithResolvers<void>;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());
  beforeEach(async () => {
    session = await openSession(await openStore(redis.url()));
    const another = createInProcessExchanges();
    exchanges = [another(), another(), another()];
    gate = Promise.withResolvers();
  });
  afterEach(async () => {
    gate.resolve();
    await session.close();
  });

  /** A server that gives these answers. No lease is renewed: what it hears, it hears from the others. */
  function server(
    number: number,
    answers: Step[][],
    some: { exchange?: Exchange; queueMax?: number } = {},
  ): Turns {
    const exchange = exchanges[number]!;
    return session.turnsWith(scriptedProvider(`p${number}`, ...answers), { exchange, ...some });
  }

  /** Starts a turn that runs until the gate opens, or somebody ends it. */
  async function occupy(turns: Turns): Promise<LiveTurn> {
    const { live } = await turns.start(session.request('first'));
    await reached(live, 'message.delta');
    return live;
  }

  const slow = (): Step[] => ['sl', { until: gate.promise }, 'ow'];

  it('run in the order of their coming, wherever they came to', async () => {
    const answers = Array.from({ length: 6 }, (): Step[] => ['a']);
    const servers = [server(0, [slow(), ...answers]), server(1, answers), server(2, answers)];
    await occupy(servers[0]!);
    const said = Array.from({ length: 12 }, (_, index) => `m${index}`);
    const runs: Promise<unknown>[] = [];
    for (const [index, content] of said.entries()) {
      // In no order of servers, several in a row at one of them.
      const turns = servers[[0, 0, 1, 2, 2, 1][index % 6]!]!;
      runs.push(session.run(turns, content));
      await stands(index + 1);
    }
    gate.resolve();
    await Promise.all(runs);
    const heard = (await session.conversation()).filter((text) => text.startsWith('m'));
    assert.deepEqual(heard, said);
  });

  it('are ended early from another at once, and so is one that is interrupted there', async () => {
    const [one, other] = [server(0, [['part', never]]), server(1, [['two']])];
    const first = await occupy(one);
    const cancelled = await other.cancel(OWNER, session.sessionId, first.id);
    assert.deepEqual([cancelled.status, textOf(cancelled.output)], ['cancelled', 'part']);

    const again = server(0, [['more', never]]);
    const second = await occupy(again);
    const { turn } = await session.run(other, 'now', { onBusy: 'interrupt' });
    assert.equal((await second.ended).turn.status, 'cancelled');
    assert.equal(turn.parentId, second.id);
  });

  it('end when their session is deleted elsewhere', async () => {
    const [one, other] = [server(0, [['part', never]]), server(1, [])];
    const live = await occupy(one);
    await session.sessions.delete(OWNER, session.sessionId);
    other.abandon(session.sessionId);
    assert.equal((await live.ended).turn.error?.code, 'session_not_found');
  });

  it('are followed from another while they run, from any number on, to the same events', async () => {
    const [one, other] = [server(0, [slow()]), server(1, [])];
    const live = await occupy(one);
    const found = await other.find(OWNER, session.sessionId, live.id);
    await reached(found, 'message.delta');
    const later = shownToEnd(found, 1);
    const all = shownToEnd(found);
    gate.resolve();
    const events = await shownToEnd(live);
    assert.deepEqual(await all, events);
    assert.deepEqual(await later, events.slice(2));
    assert.deepEqual(await found.ended, await live.ended);
  });

  it('are followed through losses, and by a reader who takes more than is sent at once', async () => {
    const pieces = Array.from({ length: 1500 }, (_, index) => `${index} `);
    const [one, other] = [server(0, [['sl', { until: gate.promise }, ...pieces]]), server(1, [], losing())];
    const live = await occupy(one);
    const found = await other.find(OWNER, session.sessionId, live.id);
    const all = shownToEnd(found);
    await reached(found, 'message.delta');
    gate.resolve();
    assert.deepEqual(await all, await shownToEnd(live));

    /** Every third notice to the follower is lost. */
    function losing(): { exchange: Exchange } {
      const exchange = exchanges[1]!;
      let heard = 0;
      const listen = (listener: (notice: Notice) => void) =>
        exchange.listen((notice) => {
          heard += 1;
          if (heard % 3 > 0) listener(notice);
        });
      return { exchange: { ...exchange, listen } };
    }
  });

  it('go on without hearing of each other, only later', async () => {
    const deaf = { exchange: NO_EXCHANGE };
    const [one, other] = [server(0, [slow()], deaf), server(1, [['two']], deaf)];
    const live = await occupy(one);
    const found = await other.find(OWNER, session.sessionId, live.id);
    const next = session.run(other, 'next');
    gate.resolve();
    assert.deepEqual(await shownToEnd(found), await shownToEnd(live));
    assert.equal((await next).turn.parentId, live.id);
  });

  it('find no room to wait where too many do, also of those that come at once', async () => {
    const [one, other] = [server(0, [slow()]), server(1, [['a'], ['b']], { queueMax: 2 })];
    await occupy(one);
    const all = Array.from({ length: 6 }, (_, index) => other.start(session.request(`m${index}`)));
    const refused = await Promise.all(
      all.map((started) => started.then(() => false, isError('session_queue_full'))).slice(2),
    ).finally(() => undefined);
    assert.deepEqual(refused, [true, true, true, true]);
    gate.resolve();
    for (const started of all.slice(0, 2))
      assert.equal((await (await started).live.ended).turn.status, 'completed');
    await stands(0);
  });

  it('that are given up, or refused by a server that closes, leave the line', async () => {
    const [one, other] = [server(0, [slow(), ['last']]), server(1, [])];
    await occupy(one);
    const gone = new AbortController();
    const givenUp = other.start(session.request('a'), gone.signal);
    await stands(1);
    const refused = other.start(session.request('b'));
    await stands(2);
    gone.abort();
    await assert.rejects(givenUp, isError('turn_cancelled'));
    const drained = other.drain(1000);
    await assert.rejects(refused, isError('server_shutting_down'));
    await drained;
    await stands(0);
    gate.resolve();
    assert.equal((await session.run(one, 'c')).turn.status, 'completed');
  });

  /** So many places are taken in the line. */
  async function stands(count: number): Promise<void> {
    const [line] = await redis.command<string[]>('KEYS', `*${session.sessionId}:line`);
    const places = line === undefined ? 0 : Number(await redis.command('ZCARD', line));
    if (places !== count) return new Promise(setImmediate).then(() => stands(count));
  }
});

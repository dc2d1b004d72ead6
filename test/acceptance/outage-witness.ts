/**
 * One server whose store goes out of service and comes back, again and again, and what its clients and its operator
 * see of that, by HTTP alone. How a store is put out of service is the tests' matter.
 */

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { type Answer, call, readEvents } from './client.ts';
import { outputWith, type ParleyProcess, removeParley } from './parley-process.ts';

/** Settings of the server that is watched. Calls are cut soon, so that the tests are short, and not by a busy machine. */
export const WATCHED = {
  STORE_TIMEOUT_MS: '1000',
  TURN_LEASE_SECONDS: '1',
  API_KEYS: 'ada:key-of-ada',
  ADMIN_TOKEN: 'admin-token',
  OPENAI_API_KEY: 'none',
};

/** A session in which something was said and acknowledged, and a message that is yet to come. */
export interface Conversation {
  sessionId: string;
  turnId: string;
  /** A session that a client wants to delete. */
  unwanted: string;
  /** Under which the message is sent until it is answered. */
  key: string;
}

/** An engine that has no room left can be read, and emptied. */
export type StillDone = 'nothing' | 'reading' | 'reading and deleting';

export interface Witness {
  readonly parley: ParleyProcess;
  readonly double: ProviderDouble;
  /** Before an outage. */
  converse(): Promise<Conversation>;
  /**
   * During it: holds every kind of answer against what is promised. They all have to come while it lasts.
   * @param stillDone what the engine does all the same
   */
  assertOut(conversation: Conversation, stillDone: StillDone): Promise<void>;
  /**
   * After it, with nothing restarted: the message that was refused is sent again, as clients do, until it is answered.
   * Nothing that was acknowledged is lost, and what was sent several times was said once.
   */
  assertBack(conversation: Conversation): Promise<void>;
  /** Says much that cannot be compressed, in the unwanted session, until there is no room for it. */
  talkUntilRefused(conversation: Conversation): Promise<void>;
  /** Resolves when the server is ready. */
  ready(): Promise<void>;
  /** Whether the engine is read at the moment. */
  canRead(): Promise<boolean>;
  /** Everything is answered while the store is slow, and load balancers are told to go elsewhere. */
  assertSlow(begin: () => void): Promise<void>;
  /** What is cut in the middle of much that goes on is refused or done, never both, and the rest is done. */
  assertHiccups(cut: () => unknown): Promise<void>;
  /** A turn whose answer has begun, in a stream, and goes on when the test says so. */
  held(): Promise<HeldTurn>;
  /** During an outage: its stream ends with the error, and never as if it were whole. */
  assertTurnFails(held: HeldTurn): Promise<void>;
  /** After it: that turn is on record as one that failed, with what there was of an answer. */
  assertFailedTurnIsKept(held: HeldTurn): Promise<void>;
  assertTurnCompletes(held: HeldTurn): Promise<void>;
  /**
   * During it: what the server does every so often has failed several times, and each kind was told of once.
   * @param logged lines of the log before the outage
   */
  assertToldOnce(logged: number): Promise<void>;
  /** After it, the log says so. */
  untilToldOver(logged: number): Promise<void>;
  close(): Promise<void>;
}

export interface HeldTurn {
  sessionId: string;
  turnId: string;
  goOn(): void;
  /** The events of the whole stream. */
  events: Promise<ReturnType<typeof readEvents>>;
}

/** What is said of the server's own work when it fails. */
const PERIODIC = [
  'changes at other servers could not be looked for',
  'the leases of turns could not be renewed',
];

const STATIC = { 'x-api-key': 'key-of-ada' };
const ADMIN = { 'x-admin-token': 'admin-token' };

/** An answer that takes so long is no answer; the server's own deadline is a small part of it. */
const HANG_MILLISECONDS = 10_000;

/** @param start starts the server, with `WATCHED` and these settings */
export async function startWitness(
  start: (settings: Record<string, string>) => Promise<ParleyProcess>,
): Promise<Witness> {
  const double = await startProviderDouble();
  const parley = await start({ ...WATCHED, OPENAI_BASE_URL: double.url });
  const { url } = parley;
  const { body: client } = await call(url, 'POST', '/admin/clients', { name: 'shop' }, ADMIN);
  /** A key that is kept in the store which is out. */
  const MANAGED = { 'x-api-key': client.key?.key as string };

  return {
    parley,
    double,
    converse,
    assertOut,
    assertBack,
    talkUntilRefused,
    ready,
    canRead: async () => (await read('/sessions')).status === 200,
    assertSlow,
    assertHiccups,
    held,
    assertTurnFails,
    assertFailedTurnIsKept,
    assertTurnCompletes,
    assertToldOnce,
    untilToldOver: (logged) =>
      outputWith(parley, () =>
        parley
          .logLines()
          .slice(logged)
          .some(({ msg }) => msg === 'the store serves again'),
      ),
    async close() {
      await removeParley(parley);
      await double.close();
    },
  };

  async function converse(): Promise<Conversation> {
    const [sessionId, unwanted] = await Promise.all([newSession(), newSession()]);
    const { status, body } = await say(sessionId, 'before', randomUUID());
    assert.equal(status, 200);
    return { sessionId, turnId: body.turn_id, unwanted, key: randomUUID() };
  }

  async function newSession(): Promise<string> {
    const { status, body } = await call(url, 'POST', '/sessions', {}, MANAGED);
    assert.equal(status, 201);
    return body.id;
  }

  function say(sessionId: string, content: string, key: string): Promise<Answer> {
    const path = `/sessions/${sessionId}/messages`;
    return call(url, 'POST', path, { content }, { ...MANAGED, 'idempotency-key': key });
  }

  function read(path: string): Promise<Answer> {
    return call(url, 'GET', path, undefined, MANAGED);
  }

  async function assertOut(conversation: Conversation, stillDone: StillDone): Promise<void> {
    const { sessionId, turnId, unwanted, key } = conversation;
    const session = `/sessions/${sessionId}`;
    const readings = [
      ...['/sessions', session, `${session}/messages`, `${session}/window`].map(read),
      ...[`${session}/turns`, `${session}/turns/${turnId}`].map(read),
      ...['/admin/sessions', '/admin/audit', '/admin/turns', '/admin/usage'].map((path) =>
        call(url, 'GET', path, undefined, ADMIN),
      ),
    ];
    const writings = [
      say(sessionId, 'insisted', key),
      call(url, 'POST', '/sessions', {}, STATIC),
      call(url, 'PATCH', session, { metadata: { note: 'refused for good' } }, MANAGED),
      call(url, 'POST', '/admin/bypass', { ip: '192.0.2.1' }, ADMIN),
      call(url, 'POST', '/admin/clients', { name: 'late' }, ADMIN),
    ];
    const deletion = call(url, 'DELETE', `/sessions/${unwanted}`, undefined, MANAGED);
    await inTime(Promise.all([...writings, ...readings, deletion, assertServedWithoutStore()]));
    for (const answer of await Promise.all(writings)) assertUnavailable(answer);
    for (const answer of await Promise.all(readings)) {
      if (stillDone === 'nothing') assertUnavailable(answer);
      else assert.equal(answer.status, 200);
    }
    if (stillDone === 'reading and deleting') assert.equal((await deletion).status, 204);
    else assertUnavailable(await deletion);
  }

  function assertUnavailable({ status, headers, body }: Answer): void {
    assert.deepEqual([status, body.error?.code], [503, 'store_unavailable'], shown(body));
    assert.equal(headers.get('retry-after'), '2');
    assert.equal(body.error.details.retry_after, 2);
  }

  /** Who may come in is known without the store, and so is how the server itself is. */
  async function assertServedWithoutStore(): Promise<void> {
    const as = (path: string, headers: Record<string, string>) => call(url, 'GET', path, undefined, headers);
    const [wrongKey, noKey, wrongToken, providers, health, metrics, ready] = await Promise.all([
      as('/sessions', { 'x-api-key': 'wrong' }),
      as('/sessions', {}),
      as('/admin/audit', { 'x-admin-token': 'wrong' }),
      as('/providers', MANAGED),
      as('/health', {}),
      as('/metrics', {}),
      as('/ready', {}),
    ]);
    assert.deepEqual([wrongKey.status, wrongKey.body.error.code], [401, 'invalid_api_key']);
    assert.deepEqual([noKey.status, noKey.body.error.code], [401, 'missing_api_key']);
    assert.deepEqual([wrongToken.status, wrongToken.body.error.code], [401, 'invalid_admin_token']);
    assert.deepEqual([providers.status, health.status, metrics.status], [200, 200, 200]);
    assert.deepEqual([ready.status, ready.body.checks.store.status], [503, 'unavailable']);
  }

  async function assertBack({ sessionId, turnId, key }: Conversation): Promise<void> {
    await ready();
    let answer = await say(sessionId, 'insisted', key);
    // The first try may have begun a turn although its answer was cut: that one is failed first.
    while (['store_unavailable', 'server_restarted'].includes(answer.body.error?.code)) {
      await pause(50);
      answer = await say(sessionId, 'insisted', key);
    }
    assert.equal(answer.status, 200, shown(answer.body));
    const { body } = await readAgain(`/sessions/${sessionId}/messages`);
    const said = body.data.map(({ content }: { content: string }) => content);
    assert.deepEqual(said, ['before', 'You said: before', 'insisted', 'You said: insisted']);
    assert.equal((await readAgain(`/sessions/${sessionId}/turns/${turnId}`)).body.status, 'completed');
  }

  /** A call may still meet a connection whose end has not been heard of. */
  async function readAgain(path: string): Promise<Answer> {
    for (;;) {
      const answer = await read(path);
      if (answer.status !== 503) return answer;
      await pause(50);
    }
  }

  async function talkUntilRefused({ unwanted }: Conversation): Promise<void> {
    let answer: Answer;
    do answer = await say(unwanted, randomBytes(10_000).toString('hex'), randomUUID());
    while (answer.status === 200);
    assertUnavailable(answer);
  }

  async function ready(): Promise<void> {
    while ((await readyStatus()) !== 200) await pause(50);
  }

  async function readyStatus(): Promise<number> {
    return (await call(url, 'GET', '/ready')).status;
  }

  async function assertSlow(begin: () => void): Promise<void> {
    const { sessionId } = await converse();
    begin();
    const [answer, list] = await inTime(
      Promise.all([say(sessionId, 'slow', randomUUID()), read('/sessions')]),
    );
    assert.deepEqual([answer.status, list.status, await readyStatus()], [200, 200, 503]);
  }

  async function assertHiccups(cut: () => unknown): Promise<void> {
    const conversations = await Promise.all(Array.from({ length: 8 }, converse));
    const answers = conversations.map(({ sessionId, key }) => say(sessionId, 'insisted', key));
    const isCut = cut();
    for (const { status, body } of await inTime(Promise.all(answers))) {
      if (status !== 200) assert.deepEqual([status, body.error.code], [503, 'store_unavailable']);
    }
    await isCut;
    await Promise.all(conversations.map(assertBack));
  }

  async function held(): Promise<HeldTurn> {
    const sessionId = await newSession();
    const { promise, resolve } = Promise.withResolvers<void>();
    double.respondOnce({ text: ['one ', 'two'], waitAt: { piece: 2, wait: promise } });
    const response = await fetch(`${url}/sessions/${sessionId}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...MANAGED },
      body: JSON.stringify({ content: 'held', stream: true }),
    });
    assert.equal(response.status, 200);
    const { body } = await read(`/sessions/${sessionId}/turns`);
    const events = response.text().then(readEvents);
    events.catch(() => undefined);
    return { sessionId, turnId: body.data[0].id, goOn: resolve, events };
  }

  async function assertTurnFails({ goOn, events }: HeldTurn): Promise<void> {
    goOn();
    const last = (await inTime(events)).at(-1);
    assert.deepEqual([last?.event, last?.data.error.code], ['turn.failed', 'store_unavailable']);
    assert.equal(last?.data.error.details.retry_after, 2);
  }

  async function assertFailedTurnIsKept({ sessionId, turnId }: HeldTurn): Promise<void> {
    const turn = async () => (await read(`/sessions/${sessionId}/turns/${turnId}`)).body;
    while ((await turn()).status === 'in_progress') await pause(50);
    assert.equal((await turn()).status, 'failed');
    assert.deepEqual((await read(`/sessions/${sessionId}/messages`)).body.data, []);
    assert.equal((await say(sessionId, 'after', randomUUID())).status, 200);
  }

  async function assertTurnCompletes({ sessionId, events }: HeldTurn): Promise<void> {
    assert.equal((await events).at(-1)?.event, 'turn.completed');
    const { body } = await read(`/sessions/${sessionId}/messages`);
    assert.equal(body.data.at(-1).content, 'one two');
  }

  async function assertToldOnce(logged: number): Promise<void> {
    // The most frequent of them while a turn runs: the others have failed several times by then.
    const before = await failedCalls('renewTurns');
    while ((await failedCalls('renewTurns')) < before + 3) await pause(50);
    const told = parley.logLines().slice(logged);
    const once = [...PERIODIC, 'the store cannot serve'];
    for (const message of once) assert.equal(told.filter(({ msg }) => msg === message).length, 1, message);
  }

  /** How often the store could not do what it was asked by this method. */
  async function failedCalls(method: string): Promise<number> {
    const { body } = await call(url, 'GET', '/metrics', undefined, { accept: 'text/plain' });
    const name = 'parley_store_call_duration_seconds_count';
    return Number(
      new RegExp(`^${name}{method="${method}",outcome="failed"} (\\d+)$`, 'm').exec(body)?.[1] ?? 0,
    );
  }
}

function shown(body: unknown): string {
  return JSON.stringify(body).slice(0, 300);
}

function inTime<Result>(answers: Promise<Result>): Promise<Result> {
  const hung = pause(HANG_MILLISECONDS, undefined, { ref: false }).then(() => {
    throw new Error(`no answer within ${HANG_MILLISECONDS} ms`);
  });
  return Promise.race([answers, hung]);
}

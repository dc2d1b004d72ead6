import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createReconnecting, type Reconnecting } from './reconnecting.ts';

interface Line {
  readonly number: number;
}

interface Bench {
  connection: Reconnecting<Line>;
  /** Lets the attempt that is being made succeed or fail. */
  settle(failure?: Error): Promise<void>;
  attempts(): number;
  released: number[];
  time: { now: number };
  signal(): AbortSignal | undefined;
}

/** A connection whose attempts end when the test says so, on a clock that the test sets. */
function bench(): Bench {
  const time = { now: 0 };
  const released: number[] = [];
  let attempts = 0;
  let attempt = Promise.withResolvers<Line>();
  let signal: AbortSignal | undefined;
  const connection = createReconnecting<Line>({
    open(given) {
      signal = given;
      attempts += 1;
      attempt = Promise.withResolvers<Line>();
      return attempt.promise;
    },
    async release({ number }) {
      released.push(number);
    },
    rest: (cause, milliseconds) => new Error(`rests ${milliseconds}`, { cause }),
    closed: () => new Error('closed'),
    restFirstMs: 1000,
    restMostMs: 8000,
    stableAfterMs: 10_000,
    now: () => time.now,
  });
  return {
    connection,
    async settle(failure) {
      if (failure === undefined) attempt.resolve({ number: attempts });
      else attempt.reject(failure);
      await attempt.promise.catch(() => undefined);
      await new Promise((resolve) => setImmediate(resolve));
    },
    attempts: () => attempts,
    released,
    time,
    signal: () => signal,
  };
}

const refused = new Error('refused');

/** Fails an attempt, and says how long is rested then. */
async function failedAttempt({ connection, settle }: Bench): Promise<number> {
  const trying = connection.ready();
  const failing = assert.rejects(trying, refused);
  await settle(refused);
  await failing;
  return restOf(connection);
}

async function restOf(connection: Reconnecting<Line>): Promise<number> {
  const error = await connection.ready().then(
    () => assert.fail('it does not rest'),
    (thrown: unknown) => thrown as Error,
  );
  return Number(/^rests (\d+)$/.exec(error.message)?.[1]);
}

describe('a connection', () => {
  it('is made once for all who want it, and not before', async () => {
    const { connection, settle, attempts } = bench();
    assert.equal(attempts(), 0);
    const waiting = Promise.all([connection.ready(), connection.ready()]);
    await settle();
    const [one, other] = await waiting;
    assert.equal(one, other);
    assert.equal(await connection.ready(), one);
    assert.equal(connection.current(), one);
    assert.equal(attempts(), 1);
  });

  it('is made although whoever wanted it has left', async () => {
    const { connection, settle, attempts } = bench();
    const abort = new AbortController();
    const leaving = connection.ready(abort.signal);
    abort.abort(new Error('left'));
    await assert.rejects(leaving, /left/);
    await assert.rejects(connection.ready(abort.signal), /left/);
    await settle();
    await connection.ready();
    assert.equal(attempts(), 1);
  });

  it('rests after a failure, longer each time up to the longest', async () => {
    const subject = bench();
    for (const most of [1000, 2000, 4000, 8000, 8000]) {
      const rest = await failedAttempt(subject);
      assert.ok(rest <= most && rest >= (most * 3) / 4, `${rest} of ${most}`);
      const before = subject.attempts();
      subject.time.now += rest - 1;
      await restOf(subject.connection);
      assert.equal(subject.attempts(), before);
      subject.time.now += 1;
    }
  });

  it('tells why it rests', async () => {
    const subject = bench();
    await failedAttempt(subject);
    await assert.rejects(subject.connection.ready(), { cause: refused });
  });

  it('is made again at once when one was lost that had lasted', async () => {
    const { connection, settle, time, released } = bench();
    for (let number = 1; number <= 5; number += 1) {
      const waiting = connection.ready();
      await settle();
      const line = await waiting;
      assert.equal(line.number, number);
      time.now += 10_000;
      connection.lost(line);
      assert.equal(connection.current(), null);
    }
    assert.deepEqual(released, [1, 2, 3, 4, 5]);
  });

  it('is made again at once when it breaks early, but not again and again', async () => {
    const { connection, settle } = bench();
    for (let number = 1; number <= 2; number += 1) {
      const waiting = connection.ready();
      await settle();
      connection.lost(await waiting);
    }
    const rest = await restOf(connection);
    assert.ok(rest <= 1000 && rest >= 750);
  });

  it('is not lost because one was that is gone already', async () => {
    const { connection, settle, released } = bench();
    const first = connection.ready();
    await settle();
    connection.lost(await first);
    const second = connection.ready();
    await settle();
    connection.lost(await first);
    assert.equal(connection.current(), await second);
    assert.deepEqual(released, [1]);
  });

  it('is let go of when all is closed, also when it comes only then', async () => {
    const made = bench();
    const waiting = made.connection.ready();
    await made.settle();
    await waiting;
    await made.connection.close();
    assert.deepEqual(made.released, [1]);
    await assert.rejects(made.connection.ready(), /closed/);

    const late = bench();
    const hoping = assert.rejects(late.connection.ready(), /closed/);
    const closing = late.connection.close();
    assert.equal(late.signal()?.aborted, true);
    await late.settle();
    await hoping;
    await closing;
    assert.deepEqual(late.released, [1]);
  });
});

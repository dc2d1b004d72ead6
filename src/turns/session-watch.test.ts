import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Notice } from '../replicas/exchange.ts';
import { createInProcessExchanges, NO_EXCHANGE } from '../replicas/in-process.ts';
import { createSessionWatch } from './session-watch.ts';

const NEVER = new AbortController().signal;
/** Longer than any test. */
const LONG = 600_000;

describe('waiting for the turns of a session', () => {
  it('is over with a turn that runs here, and not with those of other sessions', async () => {
    const watch = createSessionWatch(NO_EXCHANGE);
    const looks: string[] = [];
    const waits = ['a', 'a', 'b'].map(async (session) => {
      await watch.again(session, 0, LONG, NEVER);
      looks.push(session);
    });
    watch.over('c');
    watch.over('a');
    await Promise.all(waits.slice(0, 2));
    assert.deepEqual(looks, ['a', 'a']);
    watch.over('b');
    await waits[2];
  });

  it('is over after a while where nobody tells', async () => {
    await createSessionWatch(NO_EXCHANGE).again('a', 0, 1, NEVER);
  });

  it('is over with a turn that runs elsewhere, and only those who wait are told', async () => {
    const another = createInProcessExchanges();
    const [here, there, third] = [another(), another(), another()];
    const heard: Notice[] = [];
    third.listen((notice) => heard.push(notice));
    const [watch, other] = [createSessionWatch(here), createSessionWatch(there)];
    other.over('a');
    // The last look but one would take a second.
    const waiting = watch.again('a', 10, LONG, NEVER);
    await round();
    const startedAt = performance.now();
    other.over('b');
    other.over('a');
    await waiting;
    await round();
    assert.ok(performance.now() - startedAt < 500);
    assert.deepEqual(heard, [
      { kind: 'waiting', sessionId: 'a' },
      { kind: 'over', sessionId: 'a' },
    ]);
  });

  it('ends with the signal, as an error', async () => {
    const watch = createSessionWatch(NO_EXCHANGE);
    const gone = new AbortController();
    const waiting = watch.again('a', 0, LONG, gone.signal);
    gone.abort();
    await assert.rejects(waiting);
    await assert.rejects(watch.again('a', 0, LONG, gone.signal));
  });
});

/** What was told is heard. */
async function round(): Promise<void> {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}

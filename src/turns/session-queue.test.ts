import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isError } from '../../test/one-session.ts';
import { AppError } from '../errors.ts';
import { createSessionQueue, type Place, type SessionQueue } from './session-queue.ts';
import type { OnBusy } from './turn-request.ts';

const patient = new AbortController().signal;

/** Somebody in a line, by name, as the order of coming in tells of them. */
interface Visitor {
  name: string;
  entered: Promise<Place>;
}

/** Enters under a name; who is let in is added to `order`. */
function visit(queue: SessionQueue, name: string, order: string[], onBusy: OnBusy = 'queue'): Visitor {
  const entered = queue.enter('s', onBusy, patient);
  entered.then(
    () => order.push(name),
    () => order.push(`${name} refused`),
  );
  return { name, entered };
}

/** Lets one after another in and out. */
async function serve(visitors: readonly Visitor[]): Promise<void> {
  for (const { entered } of visitors) (await entered).leave();
}

describe('the line before a session', () => {
  it('lets one in at a time, in the order of their coming', async () => {
    const queue = createSessionQueue(10);
    const order: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => visit(queue, name, order));
    const first = await a!.entered;
    assert.deepEqual(order, ['a']);
    first.leave();
    const second = await b!.entered;
    assert.deepEqual(order, ['a', 'b']);
    second.leave();
    await c!.entered;
    assert.deepEqual(order, ['a', 'b', 'c']);
  });

  it('is nobody else’s', async () => {
    const queue = createSessionQueue(0);
    await queue.enter('s', 'queue', patient);
    await queue.enter('other', 'reject', patient);
  });

  it('is gone with the last one', async () => {
    const queue = createSessionQueue(10);
    const places = [queue.enter('s', 'queue', patient), queue.enter('s', 'queue', patient)];
    (await places[0]!).leave();
    assert.equal(queue.isBusy('s'), true);
    (await places[1]!).leave();
    assert.equal(queue.isBusy('s'), false);
  });

  it('refuses more than may wait, and lets in again once there is room', async () => {
    const queue = createSessionQueue(1);
    const first = await queue.enter('s', 'queue', patient);
    const second = queue.enter('s', 'queue', patient);
    await assert.rejects(queue.enter('s', 'queue', patient), (error) => {
      assert.ok(isError('session_queue_full')(error));
      assert.deepEqual((error as AppError).details, { waiting: 1, retry_after: 1 });
      return true;
    });
    first.leave();
    const third = queue.enter('s', 'queue', patient);
    (await second).leave();
    await third;
  });

  it('counts a leave once', async () => {
    const queue = createSessionQueue(2);
    const order: string[] = [];
    const visitors = ['a', 'b', 'c'].map((name) => visit(queue, name, order));
    const first = await visitors[0]!.entered;
    first.leave();
    first.leave();
    await visitors[1]!.entered;
    first.leave();
    // Who had been let in beside b would have been by the time that somebody elsewhere is.
    await queue.enter('other', 'queue', patient);
    assert.deepEqual(order, ['a', 'b']);
  });

  it('turns away who does not want to wait, and only them', async () => {
    const queue = createSessionQueue(10);
    const place = await queue.enter('s', 'reject', patient);
    await assert.rejects(queue.enter('s', 'reject', patient), isError('session_busy'));
    assert.equal(place.signal.aborted, false);
    place.leave();
    await queue.enter('s', 'reject', patient);
  });
});

describe('who gives up waiting', () => {
  it('leaves the line, and the others move up', async () => {
    const queue = createSessionQueue(2);
    const gone = new AbortController();
    const first = await queue.enter('s', 'queue', patient);
    const second = queue.enter('s', 'queue', gone.signal);
    const third = queue.enter('s', 'queue', patient);
    gone.abort();
    await assert.rejects(second, isError('turn_cancelled'));
    const fourth = queue.enter('s', 'queue', patient);
    first.leave();
    (await third).leave();
    await fourth;
  });

  it('is not let into the line who has given up before', async () => {
    const queue = createSessionQueue(1);
    const first = await queue.enter('s', 'queue', patient);
    await assert.rejects(queue.enter('s', 'queue', AbortSignal.abort()), isError('turn_cancelled'));
    first.leave();
    assert.equal(queue.isBusy('s'), false);
  });

  it('keeps a place that was given already', async () => {
    const queue = createSessionQueue(1);
    const gone = new AbortController();
    const first = await queue.enter('s', 'queue', patient);
    const second = queue.enter('s', 'queue', gone.signal);
    first.leave();
    gone.abort();
    assert.equal((await second).signal.aborted, false);
  });
});

describe('who interrupts', () => {
  it('ends what runs and comes before those that wait', async () => {
    const queue = createSessionQueue(10);
    const order: string[] = [];
    const running = await queue.enter('s', 'queue', patient);
    const waiting = visit(queue, 'waiting', order);
    const interrupting = visit(queue, 'interrupting', order, 'interrupt');
    assert.ok(isError('turn_cancelled')(running.signal.reason));
    running.leave();
    await serve([interrupting, waiting]);
    assert.deepEqual(order, ['interrupting', 'waiting']);
    assert.equal((await waiting.entered).signal.aborted, false);
  });

  it('cancels those that interrupted before, who keep their order', async () => {
    const queue = createSessionQueue(10);
    const order: string[] = [];
    const running = await queue.enter('s', 'queue', patient);
    const both = ['first', 'second'].map((name) => visit(queue, name, order, 'interrupt'));
    running.leave();
    await serve(both);
    assert.deepEqual(order, ['first', 'second']);
    assert.equal((await both[0]!.entered).signal.aborted, true);
    assert.equal((await both[1]!.entered).signal.aborted, false);
  });

  it('disturbs nobody where the session is free, or the line full', async () => {
    const queue = createSessionQueue(0);
    const place = await queue.enter('s', 'interrupt', patient);
    await assert.rejects(queue.enter('s', 'interrupt', patient), isError('session_queue_full'));
    assert.equal(place.signal.aborted, false);
  });
});

describe('a line that is closed', () => {
  it('refuses who waits and who comes; who is in stays', async () => {
    const queue = createSessionQueue(10);
    const place = await queue.enter('s', 'queue', patient);
    const refused = [queue.enter('s', 'queue', patient), queue.enter('s', 'interrupt', patient)].map(
      (entered) => assert.rejects(entered, isError('server_shutting_down')),
    );
    queue.refuse(new AppError('server_shutting_down'));
    await Promise.all(refused);
    await assert.rejects(queue.enter('s', 'queue', patient), isError('server_shutting_down'));
    await assert.rejects(queue.enter('other', 'queue', patient), isError('server_shutting_down'));
    place.leave();
    assert.equal(queue.isBusy('s'), false);
  });
});

describe('any coming and going', () => {
  it('has one in at a time, forgets nobody, and leaves nothing behind', async () => {
    const visitor = fc.record({
      onBusy: fc.constantFrom<OnBusy>('queue', 'reject', 'interrupt'),
      givesUp: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(visitor, { maxLength: 30 }), fc.integer({ min: 0, max: 8 }), comeAndGo),
    );
  });

  async function comeAndGo(
    visitors: readonly { onBusy: OnBusy; givesUp: boolean }[],
    maxWaiting: number,
  ): Promise<void> {
    const queue = createSessionQueue(maxWaiting);
    let inside = 0;
    const served = visitors.map(async ({ onBusy, givesUp }) => {
      const gone = new AbortController();
      const entered = queue.enter('s', onBusy, gone.signal);
      if (givesUp) gone.abort();
      const place = await entered;
      inside += 1;
      assert.equal(inside, 1, 'nobody else is in');
      await Promise.resolve();
      inside -= 1;
      place.leave();
    });
    for (const { status, reason } of (await Promise.allSettled(served)) as PromiseRejectedResult[]) {
      if (status === 'rejected') assert.ok(reason instanceof AppError, String(reason));
    }
    assert.equal(queue.isBusy('s'), false);
  }
});

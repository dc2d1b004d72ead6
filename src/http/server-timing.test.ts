import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Span } from '../turns/live-turn.ts';
import { type RequestTiming, serverTiming } from './server-timing.ts';

function timing(some: Partial<RequestTiming> = {}): RequestTiming {
  return { startedAt: 100, admittedAt: null, receivedAt: null, queuedMilliseconds: 0, turn: null, ...some };
}

const asked = (...spans: [from: number, to: number | null][]): RequestTiming['turn'] => ({
  asked: spans.map(([from, to]): Span => ({ from, to })),
});

describe('the time of a request', () => {
  it('is all its own where nothing was waited for', () => {
    assert.equal(serverTiming(timing(), 103.21), 'parley;dur=3.2');
  });

  it('is split between the server, providers and other waiting', () => {
    const some = {
      admittedAt: 101,
      receivedAt: 111,
      queuedMilliseconds: 20,
      turn: asked([140, 200], [250, 260]),
    };
    // 200 in all: 70 at providers, and 10 for the body, 20 for the session and 50 between the attempts.
    assert.equal(serverTiming(timing(some), 300), 'parley;dur=50.0, provider;dur=70.0, wait;dur=80.0');
  });

  it('has of an attempt that still runs what there was of it', () => {
    assert.equal(
      serverTiming(timing({ turn: asked([105, null]) }), 200),
      'parley;dur=5.0, provider;dur=95.0',
    );
  });

  it('has nothing of what was over before it came, and the rest of what it joined', () => {
    const over = timing({ turn: asked([10, 50], [60, 99]) });
    assert.equal(serverTiming(over, 102), 'parley;dur=2.0');
    const joined = timing({ turn: asked([10, 50], [60, 150]) });
    assert.equal(serverTiming(joined, 160), 'parley;dur=10.0, provider;dur=50.0');
    const inThePause = timing({ turn: asked([10, 50], [130, 150]) });
    assert.equal(serverTiming(inThePause, 160), 'parley;dur=10.0, provider;dur=20.0, wait;dur=30.0');
  });
});

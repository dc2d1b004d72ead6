import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { createGuardedFetch } from './guarded-fetch.ts';

const MAX_BYTES = 1000;

/** The text of an answer of this server, taken within bounds. */
async function fetched(
  t: TestContext,
  listener: RequestListener,
): Promise<{ text: string; tooLarge: number }> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  let tooLarge = 0;
  const onTooLarge = () => {
    tooLarge += 1;
  };
  const guarded = createGuardedFetch({ connectTimeoutMs: 5000, messageMaxBytes: MAX_BYTES, onTooLarge });
  t.after(async () => {
    await guarded.close();
    server.close();
  });
  const response = await guarded.fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const text = await response.text().catch((error: Error) => error.name);
  return { text, tooLarge };
}

/** Writes each piece so that it arrives by itself. */
function inPieces(type: string, pieces: readonly string[]): RequestListener {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': type });
    Readable.from(apart()).pipe(response);
  };

  async function* apart() {
    for (const piece of pieces) {
      yield piece;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

describe('a guarded fetch', () => {
  it('takes an answer that is as long as it may be', async (t) => {
    const body = 'x'.repeat(MAX_BYTES);
    const answer = await fetched(t, inPieces('application/json', [body]));
    assert.deepEqual(answer, { text: body, tooLarge: 0 });
  });

  it('takes no longer one', async (t) => {
    const answer = await fetched(t, inPieces('application/json', ['x'.repeat(MAX_BYTES), 'x']));
    assert.deepEqual(answer, { text: 'AnswerTooLargeError', tooLarge: 1 });
  });

  for (const [name, end] of [
    ['line feeds', '\n\n'],
    ['carriage returns', '\r\r'],
    ['both', '\r\n\r\n'],
  ] as const) {
    it(`takes a stream of any length whose events are no longer, with ${name}`, async (t) => {
      const event = `data: ${'x'.repeat(400)}${end}`;
      const whole = event.repeat(10);
      // Cut at other places than between events, also between the two ends.
      for (const size of [event.length - 1, event.length, 333]) {
        const pieces = whole.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
        const answer = await fetched(t, inPieces('text/event-stream; charset=utf-8', pieces));
        assert.deepEqual(answer, { text: whole, tooLarge: 0 });
      }
    });
  }

  it('takes no event that is longer, in however many lines', async (t) => {
    const line = `data: ${'x'.repeat(400)}\n`;
    const answer = await fetched(t, inPieces('text/event-stream', ['data: x\n\n', line, line, line]));
    assert.deepEqual(answer, { text: 'AnswerTooLargeError', tooLarge: 1 });
  });
});

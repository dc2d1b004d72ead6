/**
 * A turn as server-sent events to one client. The answer to a message opens with the first token, so that a turn
 * that fails before it is answered with a plain status, or after some silence, so that proxies keep the connection;
 * a stream that was asked for by itself opens at once. A client that reads slowly is waited for: its events stay in
 * the turn's log and nothing is buffered for it here.
 */

import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Follower, LiveTurn, NumberedEvent } from '../turns/live-turn.ts';
import { nativeWire } from './native-events.ts';
import { tellTiming } from './server-timing.ts';
import type { StreamWire } from './stream-wire.ts';
import { turnFailure } from './views.ts';

export interface StreamTimes {
  /** After this long without a token the stream opens anyway. */
  silenceMilliseconds: number;
  /** How often an open stream says that it is alive. */
  heartbeatMilliseconds: number;
}

/** Load balancers cut connections that are silent for 30 to 60 s; clients give up on an answer sooner. */
export const STREAM_TIMES: StreamTimes = { silenceMilliseconds: 5000, heartbeatMilliseconds: 15_000 };

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // Tells nginx not to collect the stream before passing it on.
  'x-accel-buffering': 'no',
};

/**
 * Streams the turn from its start, as the answer to a message. Resolves when the stream has ended or the client is
 * gone; throws, before anything is sent, the error of a turn that failed before its first token.
 */
export async function streamAnswer(
  live: LiveTurn,
  reply: FastifyReply,
  times: StreamTimes,
  wire = nativeWire(reply.request.id),
): Promise<void> {
  const reader = createReader(live, -1);
  try {
    const opening = await reader.opening(times.silenceMilliseconds);
    const last = opening.at(-1);
    if (typeof last === 'object' && last.event.type === 'turn.failed') throw turnFailure(last.event.ended);
    await pour(reader, opening, reply, times, wire);
  } finally {
    reader.close();
  }
}

/**
 * Streams what comes after an event of the turn, at once. Resolves when the stream has ended or the client is gone;
 * or, with `false` and nothing sent, if nothing comes after it any more.
 * @param after the event's number; -1 streams from the start
 */
export async function streamEvents(
  live: LiveTurn,
  after: number,
  reply: FastifyReply,
  times: StreamTimes,
  wire = nativeWire(reply.request.id),
): Promise<boolean> {
  const reader = createReader(live, after);
  try {
    if (reader.over) return false;
    await pour(reader, [], reply, times, wire);
    return true;
  } finally {
    reader.close();
  }
}

type Readable = NumberedEvent | 'expired';

interface Reader extends Pick<Follower, 'next' | 'close'> {
  readonly over: boolean;
  /** What there is to read up to the first that shows something, or after so long a silence. */
  opening(silenceMilliseconds: number): Promise<Readable[]>;
  /** Calls back whenever there is something to read, once per round of the event loop. */
  onReadable(callback: () => void): void;
}

function createReader(live: LiveTurn, after: number): Reader {
  let callback: () => void = () => undefined;
  // Events that arrive together are written together.
  const follower = live.follow(after, () => setImmediate(() => callback()));
  return {
    next: follower.next,
    close: follower.close,
    get over() {
      return follower.over;
    },
    opening,
    onReadable: (next) => {
      callback = next;
    },
  };

  function opening(silenceMilliseconds: number): Promise<Readable[]> {
    const events: Readable[] = [];
    return new Promise((resolve) => {
      const silence = setTimeout(resolve, silenceMilliseconds, events);
      callback = () => {
        for (let next = follower.next(); next !== null; next = follower.next()) {
          events.push(next);
          if (next !== 'expired' && next.event.type === 'turn.started') continue;
          clearTimeout(silence);
          resolve(events);
          return;
        }
      };
    });
  }
}

/** Writes what the reader has, waits where the client does not keep up, and ends with the turn. */
function pour(
  reader: Reader,
  opening: readonly Readable[],
  reply: FastifyReply,
  times: StreamTimes,
  wire: StreamWire,
): Promise<void> {
  reply.hijack();
  const raw: ServerResponse = reply.raw;
  tellTiming(reply.request, reply);
  raw.writeHead(200, { ...reply.getHeaders(), ...HEADERS } as Record<string, string>);
  raw.flushHeaders();

  return new Promise((resolve) => {
    // A client that left during the opening has closed the response already: nothing would end the stream.
    if (raw.destroyed) return resolve();
    // Who asks for the headers alone has them.
    if (reply.request.method === 'HEAD') {
      raw.end();
      return resolve();
    }
    let blocked = false;
    const heartbeat = setInterval(() => {
      // A stream that is over may still have a client to whom its end is on the way.
      if (!blocked && !raw.writableEnded) blocked = !raw.write(': alive\n\n');
    }, times.heartbeatMilliseconds);

    raw.on('drain', () => {
      blocked = false;
      write();
    });
    raw.once('close', () => {
      clearInterval(heartbeat);
      resolve();
    });
    raw.on('error', () => raw.destroy());
    reader.onReadable(write);
    const opened = opening.map(frameOf).join('');
    if (opened !== '') blocked = !raw.write(opened);
    write();

    function write(): void {
      while (!blocked && !raw.destroyed) {
        const frames = take();
        if (frames === '') break;
        blocked = !raw.write(frames);
      }
      const isOver = reader.over || wire.over?.() === true;
      if (isOver && !raw.writableEnded) raw.end(wire.end());
    }

    /** What is there to read, up to about a socket buffer's worth. */
    function take(): string {
      let frames = '';
      while (frames.length < WRITE_CHARACTERS) {
        const next = reader.next();
        if (next === null) break;
        frames += frameOf(next);
      }
      return frames;
    }

    function frameOf(next: Readable): string {
      return next === 'expired' ? wire.expired() : wire.frame(next);
    }
  });
}

/** Above this much at once a write would only sit in the socket's buffer. */
const WRITE_CHARACTERS = 16 * 1024;

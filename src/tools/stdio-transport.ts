/**
 * A program as the other end of the protocol: messages as lines over its standard input and output. The driver's own
 * transport would add variables of ours to the program's environment, and start the program twice to find out which
 * protocol it speaks. The program gets a process group, so that what it has started ends with it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import {
  deserializeMessage,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  serializeMessage,
  type Transport,
} from '@modelcontextprotocol/client';
import type { ProgramReach } from './mcp-settings.ts';
import { assumeComplete } from './result-type.ts';

/** The message has not reached the program. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

export interface StdioTransport extends Transport {
  /** Both are there so that the driver sees what kind of transport this is. */
  readonly stderr: null;
  readonly pid: number | null;
}

export interface StdioTransportOptions {
  readonly program: ProgramReach;
  readonly graceMs: number;
  readonly messageMaxBytes: number;
  /** Takes what the program writes to standard error, and what is no message of the protocol, line by line. */
  onLine(line: string): void;
  /** Called when a line is longer than a message may be; the program is then ended. */
  onTooLarge(): void;
}

/** Lines that are no messages are reported up to here. */
const SHOWN_LINE_BYTES = 8192;

/** A grandchild can hold the pipes open for ever; what the program wrote before it ended is there long before. */
const DRAIN_MS = 250;

const NEVER_CONTEXT: RunIn = (run) => run();

type RunIn = (run: () => void) => void;

export function createStdioTransport(options: StdioTransportOptions): StdioTransport {
  const { program, graceMs, messageMaxBytes, onLine } = options;
  let child: ChildProcessWithoutNullStreams | null = null;
  let ended = false;
  let version: string | undefined;
  /** Answers are handled in the asynchronous context of what they answer, as it is with a stream for each request. */
  const contexts = new Map<string | number, RunIn>();

  const transport: StdioTransport = {
    stderr: null,
    get pid() {
      return child?.pid ?? null;
    },
    start,
    send,
    close,
    setProtocolVersion(agreed) {
      version = agreed;
    },
  };
  return transport;

  async function start(): Promise<void> {
    const started = spawn(program.command, program.args, {
      env: { ...program.env },
      stdio: 'pipe',
      // A group of its own; on Windows that would be a console window.
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    child = started;
    started.on('error', (error) => transport.onerror?.(error));
    for (const stream of [started.stdin, started.stdout, started.stderr]) {
      stream.on('error', (error) => transport.onerror?.(error));
    }
    readLines(started.stdout, messageMaxBytes, { onLine: receive, onTooLong: tooLong });
    readLines(started.stderr, SHOWN_LINE_BYTES, { onLine: (line) => onLine(line.toString('utf8')) });
    // Rejects with the first error, such as ENOENT.
    await once(started, 'spawn');
    started.once('exit', () => void drained(started));
  }

  function send(message: JSONRPCMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      if (child === null || hasExited(child) || !child.stdin.writable) {
        return reject(new NotSentError('the program has ended'));
      }
      if ('method' in message) remember(message);
      child.stdin.write(serializeMessage(message), (error) => {
        // A line that was not written to its end cannot have been understood.
        if (error) reject(new NotSentError('the program takes no input', { cause: error }));
        else resolve();
      });
    });
  }

  function remember(message: JSONRPCRequest | JSONRPCNotification): void {
    if ('id' in message) contexts.set(message.id, AsyncLocalStorage.snapshot());
    // Nobody waits for its answer, and there may be none.
    const cancelled = message.method === 'notifications/cancelled' && message.params?.['requestId'];
    if (typeof cancelled === 'number') contexts.delete(cancelled);
  }

  function receive(line: Buffer): void {
    let message: JSONRPCMessage;
    try {
      message = deserializeMessage(line.toString('utf8'));
    } catch {
      // Many programs print to standard output what was meant for people.
      return onLine(line.toString('utf8', 0, SHOWN_LINE_BYTES));
    }
    assumeComplete(message, version);
    let runIn = NEVER_CONTEXT;
    if (!('method' in message) && message.id !== undefined) {
      runIn = contexts.get(message.id) ?? NEVER_CONTEXT;
      contexts.delete(message.id);
    }
    runIn(() => transport.onmessage?.(message));
  }

  function tooLong(): void {
    options.onTooLarge();
    void close();
  }

  async function drained(program: ChildProcessWithoutNullStreams): Promise<void> {
    await Promise.race([once(program, 'close'), pause(DRAIN_MS)]);
    end();
  }

  function end(): void {
    if (ended) return;
    ended = true;
    contexts.clear();
    transport.onclose?.();
  }

  async function close(): Promise<void> {
    const closing = child;
    if (closing?.pid === undefined) return end();
    const exited = hasExited(closing) ? Promise.resolve() : once(closing, 'exit');
    closing.stdin.end();
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const waiting = new AbortController();
      await Promise.race([
        exited,
        pause(graceMs, undefined, { signal: waiting.signal }).catch(() => undefined),
      ]);
      waiting.abort();
      // Also when the program itself is gone: what it has started is still of its group.
      signalGroup(closing.pid, signal);
    }
    await exited;
    for (const stream of [closing.stdout, closing.stderr]) stream.destroy();
    end();
  }
}

function hasExited({ exitCode, signalCode }: ChildProcessWithoutNullStreams): boolean {
  return exitCode !== null || signalCode !== null;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal);
  } catch {
    // Nobody is left.
  }
}

/**
 * Cuts a stream into lines, without their ends and without empty ones. A line that is too long is told of once, if
 * anybody wants to know, and goes on in pieces if not.
 */
function readLines(
  stream: NodeJS.ReadableStream,
  maxBytes: number,
  { onLine, onTooLong }: { onLine(line: Buffer): void; onTooLong?(): void },
): void {
  let pieces: Buffer[] = [];
  let held = 0;
  let refused = false;
  const take = () => {
    const line = Buffer.concat(pieces);
    pieces = [];
    held = 0;
    const whole = line.at(-1) === 13 ? line.subarray(0, -1) : line;
    if (whole.length > 0) onLine(whole);
  };
  stream.on('data', (chunk: Buffer) => {
    let begin = 0;
    while (!refused) {
      const end = chunk.indexOf(10, begin);
      const piece = chunk.subarray(begin, end < 0 ? undefined : end);
      held += piece.length;
      if (held > maxBytes && onTooLong !== undefined) {
        refused = true;
        pieces = [];
        return onTooLong();
      }
      if (piece.length > 0) pieces.push(piece);
      if (end >= 0 || held > maxBytes) take();
      if (end < 0) return;
      begin = end + 1;
    }
  });
  stream.on('end', () => {
    if (!refused && held > 0) take();
  });
}

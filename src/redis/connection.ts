/**
 * The connection to Redis: every round trip has a deadline, and what means that the engine cannot serve is
 * `store_unavailable`. What was certainly not done is tried again until the deadline, which bridges the moment in which
 * a connection is made anew. Nothing else is: a command whose answer was lost may have been done.
 */

import { AppError } from '../errors.ts';
import { createTransport } from './create-transport.ts';
import {
  asStoreError,
  hintOn,
  isRefusal,
  isUnknownScript,
  isWorthAnotherTry,
  NotConnectedError,
} from './failures.ts';
import type { RedisLocation } from './location.ts';
import type { Script } from './script.ts';
import type { Transport } from './transport.ts';

export interface RedisConnection {
  /** Whether keys of different slots may lie with different servers. */
  readonly isCluster: boolean;
  /** Runs a script by its digest; its text is sent to a server that does not know it. The first key is the one asked by. */
  run<Reply>(
    script: Script,
    keys: readonly string[],
    parameters: readonly (string | number)[],
  ): Promise<Reply>;
  /** @param key the one that the command is about */
  send<Reply>(key: string, command: readonly (string | number)[]): Promise<Reply>;
  /** Ends it at once: what is under way fails, and nothing is sent afterwards. */
  close(): void;
}

/** Milliseconds to wait for the first connection at least, so that both may be started at the same time. */
const FIRST_CONNECTION = 5000;
/** Milliseconds between tries of what was not done. */
const PAUSE = 20;

/** Rejects with an `Error` for the operator if nothing answers there. */
export async function openConnection(
  location: RedisLocation,
  timeoutMilliseconds: number,
): Promise<RedisConnection> {
  /** What went wrong with connections last, which says more than that there is none. */
  let lastError: { error: Error; at: number } | null = null;
  const connect = () =>
    createTransport(location, timeoutMilliseconds, (error) => {
      lastError = { error, at: performance.now() };
      if (isRefusal(error)) refuse?.(error);
    });
  /** Ends the opening at once; null when it is over. */
  let refuse: ((error: Error) => void) | null = null;
  let transport = connect();
  let replacedAt = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  /** Connections that were replaced and are not closed yet. */
  const old = new Set<Transport>();

  await firstConnection();
  return { isCluster: location.kind === 'cluster', run, send, close };

  /** Waits for what is just being started; a server that answers with a refusal is not waited for. */
  async function firstConnection(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const refused = new Promise<Error>((resolve) => {
      refuse = resolve;
      const limit = Math.max(timeoutMilliseconds, FIRST_CONNECTION);
      timer = setTimeout(() => resolve(lastError?.error ?? new Error('it does not answer')), limit);
    });
    const cause = await Promise.race([transport.connect().then(() => null), refused]);
    clearTimeout(timer);
    refuse = null;
    if (cause === null) return;
    transport.destroy();
    const [{ host, port } = { host: '', port: 0 }] = location.nodes;
    const reason = cause.message.replace(/\.$/, '') + hintOn(cause, location);
    throw new Error(`Redis at ${host}:${port} cannot be used: ${reason}.`, { cause });
  }

  function run<Reply>(
    { digest, source }: Script,
    keys: readonly string[],
    parameters: readonly (string | number)[],
  ): Promise<Reply> {
    const key = keys[0] ?? '';
    const rest = [String(keys.length), ...keys, ...parameters.map(String)];
    return bounded(async (deadline) => {
      try {
        return await untilDone(key, ['EVALSHA', digest, ...rest], deadline);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        return untilDone(key, ['EVAL', source, ...rest], deadline);
      }
    });
  }

  function send<Reply>(key: string, command: readonly (string | number)[]): Promise<Reply> {
    return bounded((deadline) => untilDone(key, command.map(String), deadline));
  }

  async function untilDone(key: string, command: string[], deadline: number): Promise<unknown> {
    for (;;) {
      try {
        return await transport.send(key, command);
      } catch (error) {
        if (!isWorthAnotherTry(error) || performance.now() + PAUSE >= deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  /** Cuts what takes too long. */
  function bounded<Reply>(work: (deadline: number) => Promise<unknown>): Promise<Reply> {
    if (isClosed) return Promise.reject(unavailable(new NotConnectedError('The connection is closed.')));
    return new Promise<Reply>((resolve, reject) => {
      let isSettled = false;
      // Where this process was the one that had no time, the answer may be here already: it is read first.
      const timer = setTimeout(() => setImmediate(giveUp), timeoutMilliseconds);
      work(performance.now() + timeoutMilliseconds)
        .then(
          (reply) => resolve(reply as Reply),
          (error: unknown) => reject(asStoreError(error)),
        )
        .finally(() => {
          isSettled = true;
          clearTimeout(timer);
        });

      function giveUp(): void {
        if (isSettled) return;
        reject(unavailable(whyNot()));
        replaceTransport();
      }
    });
  }

  function whyNot(): Error {
    if (lastError !== null && performance.now() - lastError.at < timeoutMilliseconds) return lastError.error;
    return new Error(`Redis took longer than ${timeoutMilliseconds} ms.`);
  }

  /**
   * A connection over which an answer did not come in time may lead nowhere, which TCP finds out in a quarter of an hour.
   * So a new one takes its place; it stays for as long as calls that went over it may still be answered.
   */
  function replaceTransport(): void {
    const now = performance.now();
    if (isClosed || now - replacedAt < 2 * timeoutMilliseconds) return;
    replacedAt = now;
    const last = transport;
    old.add(last);
    transport = connect();
    void transport.connect();
    setTimeout(() => {
      if (old.delete(last)) last.destroy();
    }, timeoutMilliseconds).unref();
  }

  function close(): void {
    isClosed = true;
    for (const one of [transport, ...old]) one.destroy();
    old.clear();
  }
}

function unavailable(cause: Error): AppError {
  return new AppError('store_unavailable', undefined, { cause });
}

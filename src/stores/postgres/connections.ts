/**
 * A bounded number of connections, on which statements are sent without waiting for the answers to those before, each
 * with a deadline. It knows no table. A connection is made when all others are busy, and replaced when it breaks; what
 * was under way on it fails, and is not sent again: nobody knows whether it has happened.
 */

import { Client, type ClientConfig } from 'pg';
import { AppError } from '../../errors.ts';
import { asStoreError, endsConnection } from './errors.ts';
import type { PostgresLocation } from './location.ts';

/** An array is sent as one of PostgreSQL's. */
export type Value = string | number | boolean | null | readonly string[];

/** Its name stands for its text on every connection: the same name never has another text. */
export interface Statement<_Row> {
  name: string;
  text: string;
}

export interface Connections {
  /** One round trip. Rejects with `store_unavailable` after the deadline, and when the engine is not to be had. */
  run<Row>(statement: Statement<Row>, ...values: Value[]): Promise<Row[]>;
  /** The same of a statement that always has one row. */
  one<Row>(statement: Statement<Row>, ...values: Value[]): Promise<Row>;
  /** Waits for what is under way, each within its deadline. */
  close(): Promise<void>;
}

export interface ConnectionOptions extends PostgresLocation {
  /** After so long every call is cut. */
  timeoutMilliseconds: number;
}

/** The driver's client, with what its types leave out. */
type DriverClient = Client & {
  ref(): void;
  unref(): void;
  readonly connection: { readonly stream: { destroy(): void } };
};

interface Connection {
  client: DriverClient;
  /** Null once it is there. */
  connecting: Promise<void> | null;
  /** How many statements are under way. */
  load: number;
  /** When the server was heard of last, by the process's clock. */
  heardAt: number;
  /** Whether it has failed, or is to be used no longer. */
  isOver: boolean;
}

/**
 * The server gives up on a statement a little earlier than this process does, so that its answer still comes and the
 * connection can be kept. The client's own deadline is for servers that do not answer at all.
 */
const SERVER_SHARE = 0.9;
/** A server that has refused one more connection is not asked for another for so long, if there are any. */
const GROWTH_PAUSE_MILLISECONDS = 1000;
const KEEP_ALIVE_MILLISECONDS = 10_000;

/** What the driver is to do with each connection. */
export function clientConfig({
  connectionString,
  isDirect,
  options,
  timeoutMilliseconds,
}: ConnectionOptions): ClientConfig {
  return {
    connectionString,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MILLISECONDS,
    connectionTimeoutMillis: timeoutMilliseconds,
    ...(URL.parse(connectionString)?.searchParams.has('application_name')
      ? {}
      : { application_name: 'parley' }),
    ...(isDirect ? { statement_timeout: Math.ceil(timeoutMilliseconds * SERVER_SHARE) } : {}),
    ...(options === undefined ? {} : { options }),
    types: { getTypeParser },
  };
}

export function openConnections(options: ConnectionOptions): Connections {
  const { connections: most, isDirect, timeoutMilliseconds } = options;
  const connections = new Set<Connection>();
  const underWay = new Set<Promise<unknown>>();
  let closed = false;
  let growsAgainAt = 0;

  return { run, one, close };

  function run<Row>(statement: Statement<Row>, ...values: Value[]): Promise<Row[]> {
    if (closed) return Promise.reject(new AppError('store_unavailable'));
    let answer: Promise<Row[]>;
    try {
      answer = send(choose(), statement, values);
    } catch (error) {
      // A certificate that cannot be read, say: it is read for each connection.
      return Promise.reject(asStoreError(error));
    }
    underWay.add(answer);
    const settled = () => underWay.delete(answer);
    answer.then(settled, settled);
    return answer;
  }

  async function one<Row>(statement: Statement<Row>, ...values: Value[]): Promise<Row> {
    const [row] = await run(statement, ...values);
    if (row === undefined) throw new Error(`The statement ${statement.name} has given no row.`);
    return row;
  }

  /** An idle connection, else a new one while there may be more, else the one with the fewest statements under way. */
  function choose(): Connection {
    let best: Connection | undefined;
    for (const connection of connections) {
      if (best === undefined || connection.load < best.load) best = connection;
      if (best.load === 0) return best;
    }
    const isFull = connections.size >= most || (best !== undefined && performance.now() < growsAgainAt);
    return best !== undefined && isFull ? best : connect();
  }

  function connect(): Connection {
    // With `pipeline`, which its types leave out as well, it sends what it is given at once.
    const driverOptions: ClientConfig & { pipeline: boolean } = { ...clientConfig(options), pipeline: true };
    const client = new Client(driverOptions) as DriverClient;
    const connection: Connection = { client, connecting: null, load: 0, heardAt: 0, isOver: false };
    client.on('error', () => retire(connection));
    client.on('end', () => retire(connection));
    connection.connecting = client.connect().then(
      () => {
        connection.connecting = null;
        connection.heardAt = performance.now();
      },
      (error: unknown) => {
        growsAgainAt = performance.now() + GROWTH_PAUSE_MILLISECONDS;
        retire(connection);
        throw error;
      },
    );
    // Whoever waits for it is told; at times nobody does.
    connection.connecting.catch(() => undefined);
    connections.add(connection);
    return connection;
  }

  function send<Row>(
    connection: Connection,
    { name, text }: Statement<Row>,
    values: readonly Value[],
  ): Promise<Row[]> {
    // While something is under way the connection keeps the process; an idle one does not.
    if (connection.load === 0) connection.client.ref();
    connection.load += 1;
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const sentAt = performance.now();
      // Where this process was the one that had no time, the answer may be here already: it is read first.
      const deadline = setTimeout(() => setImmediate(giveUp), timeoutMilliseconds);
      const query = {
        ...(isDirect ? { name } : {}),
        text,
        values: values.map(toParameter),
      };
      const submit = () => {
        if (!isSettled) connection.client.query(query, (error, result) => settle(error, result));
      };
      if (connection.connecting === null) submit();
      else connection.connecting.then(submit, settle);

      function giveUp(): void {
        if (isSettled) return;
        settle(new Error(`No answer within ${timeoutMilliseconds} ms.`));
        destroySilent(connection, sentAt);
      }

      function settle(error: unknown, result?: { rows: unknown[] }): void {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(deadline);
        connection.load -= 1;
        if (error && endsConnection(error)) retire(connection);
        else connection.heardAt = performance.now();
        rest(connection);
        if (error) reject(asStoreError(error));
        else resolve((result?.rows ?? []) as Row[]);
      }
    });
  }

  /** Nothing is sent on it any more. */
  function retire(connection: Connection): void {
    connection.isOver = true;
    connections.delete(connection);
  }

  function rest(connection: Connection): void {
    if (connection.load > 0) return;
    if (connection.isOver) void connection.client.end().catch(() => undefined);
    else if (connection.connecting === null) connection.client.unref();
  }

  /**
   * Ends the connection, and all others that have been silent as long, idle ones too: they lead to the same server,
   * which does not answer, and none of them should cost another call its deadline. What is under way on them fails.
   */
  function destroySilent(connection: Connection, since: number): void {
    for (const one of [connection, ...connections]) {
      if (one !== connection && (one.heardAt > since || one.connecting !== null)) continue;
      retire(one);
      one.client.connection.stream.destroy();
    }
  }

  async function close(): Promise<void> {
    closed = true;
    await Promise.allSettled(underWay);
    await Promise.all([...connections].map(end));
  }

  /** Says goodbye, to a server that may not listen any more. */
  async function end(connection: Connection): Promise<void> {
    retire(connection);
    connection.client.ref();
    const deadline = setTimeout(() => connection.client.connection.stream.destroy(), timeoutMilliseconds);
    await connection.client.end().catch(() => undefined);
    clearTimeout(deadline);
  }
}

/**
 * A text of PostgreSQL cannot hold U+0000. Where callers' texts are stored they are JSON, which has an escape for it;
 * in all others, ids and the like, it is as unknown as what takes its place.
 */
function toParameter(value: Value): Value {
  if (typeof value === 'string') return withoutNul(value);
  return typeof value === 'object' && value !== null ? value.map(withoutNul) : value;
}

function withoutNul(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text;
}

/** Numbers and booleans as such (no time in milliseconds and no sequence leaves the safe integers), the rest as text. */
const parsers = new Map<number, (text: string) => unknown>([
  [16, (text) => text === 't'],
  [20, Number],
  [21, Number],
  [23, Number],
  [700, Number],
  [701, Number],
]);

function getTypeParser(type: number): (text: string) => unknown {
  return parsers.get(type) ?? asText;
}

function asText(text: string): string {
  return text;
}

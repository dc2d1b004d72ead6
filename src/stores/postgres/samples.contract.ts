/** PostgreSQL for tests: one server for a file, and a schema for each test, which goes with the server. */

import { after } from 'node:test';
import { findPostgres, type PostgresServer, startPostgres } from '../../../test/postgres-server.ts';
import { newId } from '../../conversation/id.ts';

/** Why tests are skipped, for the report; false if they are not. */
export const skip: string | false =
  findPostgres() === undefined && 'there is no PostgreSQL on this machine: apt-get install postgresql';

/** What a call may take in tests that are not about it, on a machine that does much else. */
export const PATIENT = { timeoutMilliseconds: 30_000 };

export interface TestPostgres extends Omit<PostgresServer, 'stop'> {
  /** The location of a store that does not exist yet, with further parameters of a URL. */
  location(parameters?: string, database?: string): string;
}

/**
 * Starts a server for the tests of this file, which ends with them. It has a database `postgres`, whose locale sorts
 * bytes, and one `english`, which sorts "a" before "B", as people do. Where there is no PostgreSQL none is started.
 */
export async function testPostgres(): Promise<TestPostgres> {
  if (skip !== false) return missingServer(skip);
  const { stop, ...server } = await startPostgres();
  after(stop);
  await server.execute(
    "CREATE DATABASE english TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
  );
  return {
    ...server,
    location: (parameters = '', database) =>
      `${server.url(database)}?schema=${newSchema()}${parameters && `&${parameters}`}`,
  };
}

/** For the files of tests that are all skipped. */
function missingServer(reason: string): TestPostgres {
  const fail = () => {
    throw new Error(reason);
  };
  return { url: fail, execute: fail, crash: fail, start: fail, pause: fail, location: fail };
}

function newSchema(): string {
  return `s_${newId().replaceAll('-', '')}`;
}

/**
 * The same races on every store: against one server on SQLite, and against three behind a balancer on each engine that
 * servers can share. It starts and stops them, and knows no race.
 */

import { after, before, describe } from 'node:test';
import {
  type ParleysWithDouble,
  startParleysWithDouble,
  startParleyWithDouble,
} from '../acceptance/parley-with-double.ts';
import { SHARED_ENGINES, type SharedEngine, skipWithoutEngine, startEngine } from '../shared-engine.ts';

/**
 * @param started told of the servers before the first race on them
 * @param races declares the tests
 */
export function onEveryStore(
  env: Record<string, string>,
  started: (server: ParleysWithDouble) => void,
  races: (isShared: boolean) => void,
): void {
  describe('one server on SQLite', () => {
    let server: ParleysWithDouble;
    before(async () => {
      server = await startParleyWithDouble(env);
      started(server);
    });
    after(() => server.close());
    races(false);
  });
  for (const name of SHARED_ENGINES) {
    describe(`three servers that share ${name}`, { skip: skipWithoutEngine(name) }, () => {
      let engine: SharedEngine;
      let server: ParleysWithDouble;
      before(async () => {
        engine = await startEngine(name);
        server = await startParleysWithDouble({ ...env, DATABASE_URL: engine.url() });
        started(server);
      });
      after(async () => {
        await server.close();
        await engine.stop();
      });
      races(true);
    });
  }
}

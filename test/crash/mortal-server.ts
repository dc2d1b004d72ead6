/** A server that is killed and comes back on its directory, and where those who talk to it find it. */

import { type ParleyProcess, removeParley, startParley } from '../acceptance/parley-process.ts';
import type { Life, Stronghold } from './stronghold.ts';

/** Nothing but its death ends a turn, and a client hears of that by its connection. */
const FAILURES = new Set(['server_restarted']);

/** @param env settings of the server */
export async function startMortalServer(env: Record<string, string>): Promise<Stronghold> {
  let parley: ParleyProcess = await startParley(env);
  let life = newLife();
  let next: Promise<Life> = Promise.resolve(life);
  let kills = 0;
  return {
    alive: () => next,
    strike,
    patience: Infinity,
    failures: FAILURES,
    judge: async () => [],
    suffered: () => ({ 'server killed': kills }),
    close: () => removeParley(parley),
  };

  function newLife() {
    return {
      url: parley.url,
      over: false,
      forgives: () => false,
      undisturbed: () => 0,
    };
  }

  function strike(meanwhile: (url: string) => Promise<void>): Promise<void> {
    kills += 1;
    life.over = true;
    parley.process.kill('SIGKILL');
    next = comeBack(meanwhile);
    return next.then(() => undefined);
  }

  async function comeBack(meanwhile: (url: string) => Promise<void>): Promise<Life> {
    parley = await parley.restart();
    await meanwhile(parley.url);
    life = newLife();
    return life;
  }
}

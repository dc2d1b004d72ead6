/** A server that is killed and comes back on its directory, and where those who talk to it find it. */

import { type ParleyProcess, removeParley, startParley } from '../acceptance/parley-process.ts';

/** The server between a start and a kill. */
export interface Life {
  readonly url: string;
  /** Whether the blow has been dealt: from then on connections may break. */
  readonly over: boolean;
}

export interface MortalServer {
  /** The life under way, or the next one if there is none. Rejects if the server does not come back. */
  alive(): Promise<Life>;
  /**
   * Kills it, starts it again, and lets the clients in after `meanwhile`, which sees the server before anybody
   * writes to it.
   */
  kill(meanwhile: (url: string) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

/** @param env settings of the server */
export async function startMortalServer(env: Record<string, string>): Promise<MortalServer> {
  let parley: ParleyProcess = await startParley(env);
  let life = { url: parley.url, over: false };
  let next: Promise<Life> = Promise.resolve(life);
  return { alive: () => next, kill, close: () => removeParley(parley) };

  function kill(meanwhile: (url: string) => Promise<void>): Promise<void> {
    life.over = true;
    parley.process.kill('SIGKILL');
    next = comeBack(meanwhile);
    return next.then(() => undefined);
  }

  async function comeBack(meanwhile: (url: string) => Promise<void>): Promise<Life> {
    parley = await parley.restart();
    await meanwhile(parley.url);
    life = { url: parley.url, over: false };
    return life;
  }
}

/** Who the master is, by the sentinels that watch it. One of them is asked at a time, over a connection that is kept. */

import { UnknownMasterError } from './failures.ts';
import type { RedisLocation, RedisNode } from './location.ts';
import { connectOnce, type SingleConnection, type SingleConnectionOptions } from './single-connection.ts';

export interface Sentinels {
  /** The master as one of them knows it. Rejects, with what the last one said, if none does. */
  findMaster(): Promise<RedisNode>;
  /** What this one has said led nowhere: another may know more, and is asked first. */
  turnAway(): void;
}

export function createSentinels(location: RedisLocation, options: SingleConnectionOptions): Sentinels {
  const { nodes, master } = location;
  /** Sentinels have no databases, and are asked without a password. */
  const asked: RedisLocation = { ...location, username: undefined, password: undefined, database: 0 };
  let turn = 0;
  let current: SingleConnection | null = null;

  return { findMaster, turnAway };

  async function findMaster(): Promise<RedisNode> {
    let lastError: unknown = new UnknownMasterError(`its sentinels know no master "${master}"`);
    for (let tries = 0; tries < nodes.length; tries += 1) {
      try {
        const known = await askOne();
        if (known !== null) return known;
      } catch (error) {
        lastError = error;
      }
      turnAway();
    }
    throw lastError;
  }

  async function askOne(): Promise<RedisNode | null> {
    current ??= await connect();
    const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', master];
    const address = await current.ask<[host: string, port: string] | null>(command);
    return address === null ? null : { host: address[0], port: Number(address[1]) };
  }

  async function connect(): Promise<SingleConnection> {
    const node = nodes[turn % nodes.length] as RedisNode;
    const connection = await connectOnce(asked, node, options);
    void connection.over.then(() => {
      if (current === connection) current = null;
    });
    return connection;
  }

  function turnAway(): void {
    const left = current;
    current = null;
    left?.destroy();
    turn += 1;
  }
}

/** Requests at a server: so many in all, so many at once. */

import { Pool } from 'undici';

export interface Load {
  /** Sends a JSON body and reads the whole answer; fails on any status but 2xx. */
  post(path: string, body: object): Promise<string>;
  /** Runs `count` calls of `work`, `concurrency` at a time; `worker` tells which of them calls. */
  run(count: number, concurrency: number, work: (worker: number) => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

export function createLoad(url: string): Load {
  const pool = new Pool(url, { connections: 128 });
  return { post, run, close: () => pool.close() };

  async function post(path: string, body: object): Promise<string> {
    const { statusCode, body: answer } = await pool.request({
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (statusCode >= 300) throw new Error(`${path} answered ${statusCode}: ${text}`);
    return text;
  }

  async function run(
    count: number,
    concurrency: number,
    work: (worker: number) => Promise<unknown>,
  ): Promise<void> {
    let left = count;
    const worker = async (number: number) => {
      while (left > 0) {
        left -= 1;
        await work(number);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, (_, number) => worker(number)));
  }
}

/** Requests at a server: so many in all, so many at once. */

import { Pool } from 'undici';

export interface Load {
  /** Sends a JSON body and reads the whole answer; fails on any status but 2xx. */
  post(path: string, body: object): Promise<string>;
  /** Reads the whole answer; fails on any status but 2xx. */
  get(path: string): Promise<string>;
  /** Runs `count` calls of `work`, `concurrency` at a time; `worker` tells which of them calls. */
  run(count: number, concurrency: number, work: (worker: number) => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

export function createLoad(url: string): Load {
  const pool = new Pool(url, { connections: 128 });
  return { post, get: (path) => request('GET', path), run, close: () => pool.close() };

  function post(path: string, body: object): Promise<string> {
    return request('POST', path, { 'content-type': 'application/json' }, JSON.stringify(body));
  }

  async function request(
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string> = {},
    body: string | null = null,
  ): Promise<string> {
    const { statusCode, body: answer } = await pool.request({ method, path, headers, body });
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

/** How operators see something that servers share, in `/ready` and in the metrics. */

import { call } from './client.ts';

/** The status of the part, and the value of its gauge. */
export async function shownOf({ url }: { url: string }, part: 'limits' | 'exchange'): Promise<unknown[]> {
  const { body: ready } = await call(url, 'GET', '/ready');
  const metrics = await (await fetch(`${url}/metrics`, { headers: { accept: 'text/plain' } })).text();
  const gauge = metrics.split('\n').find((line) => line.startsWith(`parley_shared_reached{part="${part}"}`));
  const { status } = ready.checks.shared.find((one: { part: string }) => one.part === part) ?? {};
  return [status, gauge?.split(' ').at(-1)];
}

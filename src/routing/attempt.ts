/**
 * One try at one target, under the clocks of an attempt: the time to the first token (to the whole answer, when
 * the upstream call does not stream) and the idle time between tokens.
 */

import { type Prompt, type Provider, ProviderError, type ProviderEvent } from '../providers/provider.ts';

export interface Clocks {
  firstTokenMilliseconds: number;
  idleMilliseconds: number;
}

/**
 * The provider's events. A clock that runs out aborts the upstream call and throws `ProviderError('timeout')`
 * that names the clock; when `signal` aborts, the call is aborted and `signal.reason` is thrown.
 */
export async function* attempt(
  provider: Provider,
  prompt: Prompt,
  clocks: Clocks,
  signal: AbortSignal,
): AsyncGenerator<ProviderEvent> {
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });

  const firstToken = setTimeout(expire, clocks.firstTokenMilliseconds, 'first_token');
  let idle: NodeJS.Timeout | undefined;
  function expire(clock: 'first_token' | 'idle') {
    controller.abort(new ProviderError('timeout', { clock }));
  }

  try {
    for await (const event of provider.stream(prompt, controller.signal)) {
      if (idle === undefined) {
        clearTimeout(firstToken);
        idle = setTimeout(expire, clocks.idleMilliseconds, 'idle');
      } else {
        idle.refresh();
      }
      yield event;
    }
  } finally {
    clearTimeout(firstToken);
    clearTimeout(idle);
    signal.removeEventListener('abort', stop);
  }
}

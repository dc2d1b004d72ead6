/**
 * One try at one target, under the clocks of a turn: the time to the first token (to the whole answer, when the
 * upstream call does not stream), the idle time between tokens, and what is left of the whole turn's time.
 */

import {
  type Clock,
  type Prompt,
  type Provider,
  ProviderError,
  type ProviderEvent,
} from '../providers/provider.ts';

export interface AttemptLimits {
  firstTokenMilliseconds: number;
  idleMilliseconds: number;
  /** Of the whole turn. */
  remainingMilliseconds: number;
  /** Bytes of an answer's text and calls in UTF-8. */
  answerMaxBytes: number;
}

/**
 * Tells of the provider's events as they come, and resolves after the last one. A clock that runs out aborts the
 * upstream call and throws `ProviderError('timeout')` that names the clock; an answer without end is aborted with
 * `answer_too_large`; when `signal` aborts, the call is aborted and `signal.reason` is thrown.
 */
export async function attempt(
  provider: Provider,
  prompt: Prompt,
  limits: AttemptLimits,
  signal: AbortSignal,
  tell: (event: ProviderEvent) => void,
): Promise<void> {
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });

  const turn = setTimeout(expire, limits.remainingMilliseconds, 'turn');
  const firstToken = setTimeout(expire, limits.firstTokenMilliseconds, 'first_token');
  let idle: NodeJS.Timeout | undefined;
  function expire(clock: Clock) {
    controller.abort(new ProviderError('timeout', { clock }));
  }

  let bytes = 0;
  try {
    for await (const event of provider.stream(prompt, controller.signal)) {
      if (idle === undefined) {
        clearTimeout(firstToken);
        idle = setTimeout(expire, limits.idleMilliseconds, 'idle');
      } else {
        idle.refresh();
      }
      bytes += sizeOf(event);
      if (bytes > limits.answerMaxBytes) throw new ProviderError('answer_too_large');
      tell(event);
    }
  } finally {
    clearTimeout(turn);
    clearTimeout(firstToken);
    clearTimeout(idle);
    signal.removeEventListener('abort', stop);
  }
}

function sizeOf(event: ProviderEvent): number {
  switch (event.type) {
    case 'text-delta':
    case 'refusal-delta':
    case 'reasoning-delta':
      return Buffer.byteLength(event.text);
    case 'tool-call':
      return Buffer.byteLength(event.name) + Buffer.byteLength(event.arguments);
    case 'finish':
    // Counted with what was read from it.
    case 'frame':
      return 0;
  }
}

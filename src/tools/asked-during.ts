/**
 * In whose course a server asks for something: the call whose stream the request comes on, or whose answer it is. Where
 * neither can be told, as with a program of the older protocol, it is the only call that runs, if there is only one.
 */

import { AsyncLocalStorage } from 'node:async_hooks';

interface RunningCall {
  readonly context: unknown;
}

export interface AskedDuringCalls {
  /** Runs a call; what happens in its course is found to be of this context. */
  run<Value>(context: unknown, call: () => Promise<Value>): Promise<Value>;
  /** Runs what belongs to no call, although a call may have given rise to it. */
  outside<Value>(run: () => Value): Value;
  /** The context of the call in whose course this is asked; undefined if that cannot be told. */
  context(): unknown;
}

export function createAskedDuringCalls(): AskedDuringCalls {
  const storage = new AsyncLocalStorage<RunningCall | undefined>();
  const running = new Set<RunningCall>();
  return {
    async run(context, call) {
      const own: RunningCall = { context };
      running.add(own);
      try {
        return await storage.run(own, call);
      } finally {
        running.delete(own);
      }
    },
    outside: (run) => storage.run(undefined, run),
    context() {
      const asked = storage.getStore();
      if (asked !== undefined && running.has(asked)) return asked.context;
      const [only] = running;
      return running.size === 1 ? only?.context : undefined;
    },
  };
}

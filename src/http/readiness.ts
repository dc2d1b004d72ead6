/** Whether the server can do its work: the store answers, and not every target or provider is out of service. */

import type { Static } from 'typebox';
import type { TargetState } from '../conversation/target-state.ts';
import type { Readiness } from './rooms.ts';
import type * as schemas from './server-schemas.ts';
import { targetView } from './views.ts';

/** A store that needs longer makes every turn wait; a probe must not wait with them. */
const STORE_MILLISECONDS = 100;

/**
 * Asks the store and looks at the targets; takes no longer than the store is given.
 * @param providers all that are configured
 */
export async function checkReadiness(
  { store, targets, isInService, shared }: Readiness,
  providers: readonly { name: string }[],
): Promise<Static<typeof schemas.Ready>> {
  const known = targets();
  const storeStatus = statusOf(await answersInTime(store, STORE_MILLISECONDS));
  const now = Date.now();
  const asked = known.filter(({ provider }) => isInService(provider));
  const isAnyoneThere = providers.some(({ name }) => isInService(name));
  const isAnyoneWell = asked.length === 0 || asked.some((target) => !isOut(target, now));
  const providersStatus = statusOf(isAnyoneThere && isAnyoneWell);
  const isReady = storeStatus === 'ok' && providersStatus === 'ok';
  return {
    status: isReady ? 'ready' : 'unavailable',
    checks: {
      store: { status: storeStatus },
      providers: {
        status: providersStatus,
        targets: known.map((target) => ({
          provider: target.provider,
          in_service: isInService(target.provider),
          ...targetView(target),
        })),
      },
      // The server does its work without them, though not as well.
      shared: shared().map(({ part, isReached }) => ({ part, status: statusOf(isReached) })),
    },
  };
}

function statusOf(isFine: boolean): 'ok' | 'unavailable' {
  return isFine ? 'ok' : 'unavailable';
}

/**
 * Whether nothing may be sent to it. One whose time is over waits for the next request to try it: a server that
 * is not ready gets none, and would never be again.
 */
function isOut({ state, until }: TargetState, now: number): boolean {
  return state === 'open' && (until === null || until > now);
}

/** Whether the promise resolves within the time; that it rejects, or that it never ends, is `false`. */
function answersInTime(ask: () => Promise<void>, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds, false);
    const answer = (isFine: boolean) => {
      clearTimeout(timer);
      resolve(isFine);
    };
    ask().then(
      () => answer(true),
      () => answer(false),
    );
  });
}

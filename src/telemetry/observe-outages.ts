/**
 * Tells of the outages of a store: once when one begins, however many calls fail in it, and once when it is over, which
 * is found out by asking. It changes nothing about the calls.
 */

import { AppError } from '../errors.ts';
import { wrapMethods } from './wrap-methods.ts';

export interface OutageWatch {
  /** A store is out of service; `cause` is what is behind the error that callers get. Must not throw. */
  began(cause: unknown): void;
  /** It serves again. */
  ended(milliseconds: number): void;
}

interface Watched<Admin extends object> {
  ping(): Promise<void>;
  readonly admin: Admin;
}

/** Soon enough for whoever reads the log, and nothing beside the calls that fail in the meantime. */
const LOOK_MILLISECONDS = 1000;

/**
 * The same store, each of whose calls may show that it is out of service. An outage is over when the store does what
 * `ping` asks and no call has failed since it was asked before: one that is read-only, or has no room, does some things
 * and not others. Looking does not keep the process alive.
 */
export function observeOutages<Admin extends object, Store extends Watched<Admin>>(
  store: Store,
  watch: OutageWatch,
): Store {
  let isOut = false;
  let failures = 0;
  const observed = wrapMethods<Store>(store, (_name, call) => noted(call));
  return { ...observed, admin: wrapMethods(store.admin, (_name, call) => noted(call)) };

  function noted(call: (...parameters: unknown[]) => unknown) {
    return (...parameters: unknown[]): unknown => {
      const answer = call(...parameters);
      return answer instanceof Promise ? answer.catch(failed) : answer;
    };
  }

  function failed(error: unknown): never {
    if (error instanceof AppError && error.code === 'store_unavailable') {
      failures += 1;
      if (!isOut) begin(error);
    }
    throw error;
  }

  function begin({ cause }: AppError): void {
    isOut = true;
    watch.began(cause);
    lookLater(performance.now());
  }

  function lookLater(since: number): void {
    const before = failures;
    const timer = setTimeout(() => {
      store.ping().then(
        () => (failures === before ? end(since) : lookLater(since)),
        () => lookLater(since),
      );
    }, LOOK_MILLISECONDS);
    timer.unref();
  }

  function end(since: number): void {
    isOut = false;
    watch.ended(performance.now() - since);
  }
}

/** Times the calls of a store, whatever its contract. Everything else stays as it is. */

import { AppError } from '../errors.ts';
import { wrapMethods } from './wrap-methods.ts';

export interface StoreCall {
  /** The name of the method. */
  method: string;
  seconds: number;
  /** Whether the store did its work. That it refused what was wrong about the call is part of its work. */
  ok: boolean;
}

/**
 * The same store, whose methods tell of each call when its promise settles. What is not a method is passed on.
 * @param tell must not throw
 */
export function observeStore<Store extends object>(store: Store, tell: (call: StoreCall) => void): Store {
  return wrapMethods(store, (method, call) => (...parameters) => {
    const begunAt = performance.now();
    const answer = call(...parameters);
    if (!(answer instanceof Promise)) return answer;
    const told = (ok: boolean) => tell({ method, seconds: (performance.now() - begunAt) / 1000, ok });
    return answer.then(
      (result: unknown) => {
        told(true);
        return result;
      },
      (error: unknown) => {
        told(isRefusal(error));
        throw error;
      },
    );
  });
}

/** Whether the store did its work and refused what was wrong about the call. */
export function isRefusal(error: unknown): boolean {
  return error instanceof AppError && error.status < 500;
}

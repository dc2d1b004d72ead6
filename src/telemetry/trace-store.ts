/** Spans around the calls of a store, whatever its contract. */

import type { Tracer } from '@opentelemetry/api';
import { asAppError } from '../errors.ts';
import { failSpan } from './failed-span.ts';
import { isRefusal } from './observe-store.ts';
import { wrapMethods } from './wrap-methods.ts';

/** The same store, each call of which is a span: part of what it was called in, if that is one. */
export function traceStore<Store extends object>(store: Store, tracer: Tracer): Store {
  return wrapMethods(store, (method, call) => (...parameters) => {
    const attributes = { 'parley.store.method': method };
    return tracer.startActiveSpan(`store ${method}`, { attributes }, (span) => {
      const answer = call(...parameters);
      // What answers at once has taken no step; a span that does not end is never seen.
      if (!(answer instanceof Promise)) return answer;
      return answer.then(
        (result: unknown) => {
          span.end();
          return result;
        },
        (error: unknown) => {
          if (!isRefusal(error)) failSpan(span, asAppError(error).code);
          span.end();
          throw error;
        },
      );
    });
  });
}

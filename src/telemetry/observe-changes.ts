/** Tells of the changes that operators make, by their audit entries, wherever in the program they are made. */

import type { AuditEntry } from '../conversation/client.ts';

/**
 * The same store, which tells of the entry of each call that brings one, once the change is made: not when the call
 * fails, and not when it answers `false` or with an empty list, as there was nothing to change. What brings no entry is passed on.
 * @param tell must not throw; called in the asynchronous context of the call
 */
export function observeChanges<Store extends object>(store: Store, tell: (entry: AuditEntry) => void): Store {
  const members = Object.entries(store).map(([name, member]: [string, unknown]) => [
    name,
    typeof member === 'function' ? observed(member as Method) : member,
  ]);
  return Object.fromEntries(members);

  function observed(call: Method): Method {
    return (...parameters) => {
      const answer = call.apply(store, parameters);
      const entry = parameters.find(isAuditEntry);
      if (entry === undefined || !(answer instanceof Promise)) return answer;
      return answer.then((result: unknown) => {
        if (isChange(result)) tell(entry);
        return result;
      });
    };
  }
}

type Method = (...parameters: unknown[]) => unknown;

function isChange(result: unknown): boolean {
  return result !== false && !(Array.isArray(result) && result.length === 0);
}

function isAuditEntry(value: unknown): value is AuditEntry {
  return typeof value === 'object' && value !== null && 'action' in value && 'subject' in value;
}

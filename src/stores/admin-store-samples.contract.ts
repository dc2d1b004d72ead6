/** What the sentences of the admin store are made of. */

import type { AuditEntry } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { AdminStore, OpenedStore } from './admin-store.ts';

/** What must be so, and the test of it on a store that is new and empty. */
export type Sentence = [string, (admin: AdminStore, store: OpenedStore) => Promise<void>];

export function sampleEntry(change: Partial<AuditEntry> = {}): AuditEntry {
  const details = { name: 'Shop', nested: { list: [1, null, '"'] } };
  return { id: newId(), at: 1000, action: 'test.change', subject: 'somebody', details, ...change };
}

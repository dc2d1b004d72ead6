/**
 * What every store must do: the sentences of store.ts as tests. `open` gives a new, empty store; the suite
 * closes it. What only a store on a disk can promise is tested beside that store.
 */

import { describe } from 'node:test';
import { describeItems } from './store-items.contract.ts';
import { describeKeys } from './store-keys.contract.ts';
import { describeModel } from './store-model.contract.ts';
import { describePaths } from './store-paths.contract.ts';
import type { OpenStore } from './store-samples.contract.ts';
import { describeSessions } from './store-sessions.contract.ts';
import { describeSweep } from './store-sweep.contract.ts';
import { describeTurns } from './store-turns.contract.ts';

export function describeStore(name: string, open: OpenStore): void {
  describe(name, () => {
    describeSessions(open);
    describeTurns(open);
    describePaths(open);
    describeItems(open);
    describeKeys(open);
    describeSweep(open);
    describeModel(open);
  });
}

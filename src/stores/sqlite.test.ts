/** The store on SQLite: the contract, in memory and in a file. What only a file can promise is in its siblings. */

import { temporaryDatabase } from './sqlite/samples.contract.ts';
import { openMemoryStore, openSqliteStore } from './sqlite.ts';
import { describeStore } from './store.contract.ts';

describeStore('SQLite in memory', () => Promise.resolve(openMemoryStore()));
describeStore('SQLite in a file', (context) => Promise.resolve(openSqliteStore(temporaryDatabase(context))));

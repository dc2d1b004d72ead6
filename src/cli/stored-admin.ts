/** The administration of a store that no server has: opened here, changed by the same routes, and closed again. */

import type { Logger } from 'pino';
import { createDirectory } from '../clients/directory.ts';
import { createClientApp } from '../http/admin/client-app.ts';
import { openStore } from '../stores/open-store.ts';
import { logAudit } from '../telemetry/log.ts';
import { observeChanges } from '../telemetry/observe-changes.ts';
import { readAnswer } from './admin-answer.ts';
import type { AdminApi } from './admin-call.ts';

/** Rejects with a `StoreInUseError` if another process has the database, and an `Error` if it cannot be opened. */
export async function openStoredAdmin(databaseUrl: string, log: Logger): Promise<AdminApi> {
  const store = await openStore(databaseUrl, log);
  try {
    const adminStore = observeChanges(store.admin, (entry) => logAudit(log, entry));
    const directory = await createDirectory({ adminStore, staticKeys: [] });
    const app = createClientApp(directory, log);
    return {
      async call(method, url, body) {
        const { statusCode, payload } = await app.inject({ method, url, ...(body && { payload: body }) });
        return readAnswer(statusCode, payload);
      },
      async close() {
        await app.close();
        await directory.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

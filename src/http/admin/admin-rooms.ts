/** What the routes of the administration are made of. */

import type { Bypass } from '../../clients/bypass.ts';
import type { Directory } from '../../clients/directory.ts';
import type { AdminStore } from '../../stores/admin-store.ts';

export interface AdminRooms {
  /** What `X-Admin-Token` must be; null switches the administration off. */
  token: string | null;
  directory: Directory;
  bypass: Bypass;
  adminStore: Pick<AdminStore, 'listAudit'>;
}

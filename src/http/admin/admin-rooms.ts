/** What the routes of the administration are made of. */

import type { Bypass } from '../../clients/bypass.ts';
import type { Directory } from '../../clients/directory.ts';
import type { OwnedSessions } from '../../clients/owned-sessions.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { AdminStore } from '../../stores/admin-store.ts';

export interface AdminRooms {
  directory: Directory;
  bypass: Bypass;
  ownedSessions: OwnedSessions;
  sessions: Pick<Sessions, 'get' | 'list' | 'items'>;
  adminStore: Pick<AdminStore, 'listAudit' | 'recentTurns' | 'findTurn' | 'readUsage'>;
}

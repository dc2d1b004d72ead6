/** What the routes of the administration are made of. */

import type { Bypass } from '../../clients/bypass.ts';
import type { Directory } from '../../clients/directory.ts';
import type { KnownTools } from '../../clients/known-tools.ts';
import type { OwnedSessions } from '../../clients/owned-sessions.ts';
import type { ProviderOperations } from '../../clients/provider-operations.ts';
import type { TargetState } from '../../conversation/target-state.ts';
import type { Providers } from '../../providers/provider.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { AdminStore } from '../../stores/admin-store.ts';
import type { ShownConfiguration } from './config-schemas.ts';

/** The tools of servers, and how far the operator trusts those. */
export interface AdminTools {
  known: Pick<KnownTools, 'list' | 'accept' | 'forget'>;
  isConfigured(server: string): boolean;
  isTrusted(server: string): boolean;
}

export interface AdminRooms {
  directory: Directory;
  bypass: Bypass;
  ownedSessions: OwnedSessions;
  sessions: Pick<Sessions, 'get' | 'list' | 'items'>;
  operations: ProviderOperations;
  tools: AdminTools;
  providers: Pick<Providers, 'all' | 'get'>;
  /** The known targets, as everybody is shown them. */
  targets(): readonly TargetState[];
  configuration: ShownConfiguration;
  adminStore: Pick<AdminStore, 'listAudit' | 'recentTurns' | 'findTurn' | 'readUsage'>;
}

/** All routes of the administration. The gate has looked at the token; on which port they are is not known here. */

import { scopeRequests } from '../request-scope.ts';
import type { App } from '../rooms.ts';
import type { AdminRooms } from './admin-rooms.ts';
import { addAuditRoute } from './audit-route.ts';
import { addBypassRoutes } from './bypass-routes.ts';
import { addClientRoutes } from './client-routes.ts';
import { addConfigRoute } from './config-route.ts';
import { addAdminProviderRoutes } from './provider-routes.ts';
import { addOwnedSessionRoutes } from './session-routes.ts';
import { addKnownToolRoutes } from './tool-routes.ts';
import { addRecentTurnRoutes } from './turn-routes.ts';
import { addUsageRoute } from './usage-route.ts';

export async function addAdminRoutes(app: App, rooms: AdminRooms): Promise<void> {
  await app.register(async (routes) => {
    scopeRequests(routes);
    addBypassRoutes(routes, rooms);
    addClientRoutes(routes, rooms);
    addOwnedSessionRoutes(routes, rooms);
    addRecentTurnRoutes(routes, rooms);
    addUsageRoute(routes, rooms);
    addAdminProviderRoutes(routes, rooms);
    addKnownToolRoutes(routes, rooms);
    addConfigRoute(routes, rooms);
    addAuditRoute(routes, rooms);
  });
}

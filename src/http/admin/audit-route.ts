/** `/admin/audit`: every change that was made by administration. */

import type { AuditEntry } from '../../conversation/client.ts';
import { pageOf } from '../page-request.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer, listOf } from '../schemas.ts';
import { isoTime, listView } from '../views.ts';
import type { AdminRooms } from './admin-rooms.ts';
import * as schemas from './admin-schemas.ts';

export function addAuditRoute(app: App, { adminStore }: AdminRooms): void {
  app.get(
    '/admin/audit',
    {
      schema: {
        tags: ['Administration'],
        operationId: 'listAudit',
        summary: 'What was changed, newest first',
        querystring: schemas.AuditQuery,
        response: { 200: listOf(schemas.AuditRecord), '4xx': ErrorAnswer, '5xx': ErrorAnswer },
      },
    },
    async ({ query }) => listView(await adminStore.listAudit(pageOf(query, 'desc')), auditView),
  );
}

function auditView({ id, at, action, subject, details }: AuditEntry) {
  return { object: 'audit_entry' as const, id, at: isoTime(at), action, subject, details };
}

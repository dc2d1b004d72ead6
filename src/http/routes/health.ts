/** `GET /health`: the process lives. */

import type { App, Rooms } from '../rooms.ts';
import { Health } from '../server-schemas.ts';
import { isoTime } from '../views.ts';

export function addHealthRoute(app: App, { errors, version }: Rooms): void {
  app.get(
    '/health',
    {
      schema: {
        tags: ['Server'],
        operationId: 'readHealth',
        summary: 'Whether the process lives',
        response: { 200: Health },
      },
    },
    () => {
      const { total, byCode, last } = errors.read();
      return {
        status: 'ok' as const,
        version,
        uptime_seconds: Math.round(process.uptime()),
        errors: {
          total,
          by_code: byCode,
          last: last === null ? null : { code: last.code, request_id: last.requestId, at: isoTime(last.at) },
        },
      };
    },
  );
}

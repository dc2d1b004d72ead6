/** `/admin/config`: the settings with which the server runs, and where each came from. */

import type { App } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import type { AdminRooms } from './admin-rooms.ts';
import { Configuration } from './config-schemas.ts';

export function addConfigRoute(app: App, { configuration }: Pick<AdminRooms, 'configuration'>): void {
  app.get(
    '/admin/config',
    {
      schema: {
        tags: ['Administration'],
        operationId: 'readConfiguration',
        summary: 'The configuration without secrets',
        response: { 200: Configuration, '4xx': ErrorAnswer, '5xx': ErrorAnswer },
      },
    },
    () => ({ object: 'configuration' as const, ...configuration }),
  );
}

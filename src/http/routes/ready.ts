/** `GET /ready`: the server can do its work. */

import { Type } from 'typebox';
import { checkReadiness } from '../readiness.ts';
import type { App, Rooms } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import { Ready } from '../server-schemas.ts';

export function addReadyRoute(app: App, { readiness, providers }: Rooms): void {
  app.get(
    '/ready',
    {
      schema: {
        tags: ['Server'],
        operationId: 'readReadiness',
        summary: 'Whether requests should be sent here',
        description:
          'For load balancers. 503 while the store does not answer, while every known target is left out or ' +
          'every provider out of service, and while the server stops.',
        response: {
          200: { description: 'Ready', content: { 'application/json': { schema: Ready } } },
          503: {
            description: 'Not ready, or about to stop',
            content: { 'application/json': { schema: Type.Union([Ready, ErrorAnswer]) } },
          },
        },
      },
    },
    async (_request, reply) => {
      const ready = await checkReadiness(readiness, providers.all);
      return reply.code(ready.status === 'ready' ? 200 : 503).send(ready);
    },
  );
}

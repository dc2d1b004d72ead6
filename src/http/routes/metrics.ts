/** `GET /metrics`: what was counted, for whoever collects it and in short. The route is there if metrics are. */

import { Type } from 'typebox';
import { preferredType } from '../accept.ts';
import type { App, HttpMetrics } from '../rooms.ts';
import { Metrics } from '../server-schemas.ts';
import { addVary } from '../vary.ts';

const JSON_TYPE = 'application/json';

/** The collectors' types get the same text: its own type says which one it is, and every collector reads that. */
const OFFERED = [JSON_TYPE, 'text/plain', 'application/openmetrics-text'];

export function addMetricsRoute(app: App, metrics: HttpMetrics): void {
  app.get(
    '/metrics',
    {
      schema: {
        tags: ['Server'],
        operationId: 'readMetrics',
        summary: 'What was counted since the start',
        description:
          'In the text format of Prometheus where `Accept` asks for `text/plain` or ' +
          '`application/openmetrics-text`; else in short, as JSON.',
        response: {
          200: {
            description: 'The metrics',
            content: {
              'application/json': { schema: Metrics },
              'text/plain': { schema: Type.String() },
            },
          },
        },
      },
    },
    async ({ headers }, reply) => {
      addVary(reply, 'Accept');
      const type = preferredType(headers.accept, OFFERED) ?? JSON_TYPE;
      if (type === JSON_TYPE) return metrics.json();
      const { contentType, body } = await metrics.text();
      return reply.type(contentType).send(body);
    },
  );
}

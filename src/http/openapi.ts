/** The OpenAPI document, made from the routes' schemas, and its page. */

import swagger from '@fastify/swagger';
import scalar from '@scalar/fastify-api-reference';
import type { App } from './app.ts';

/** Must be called before the routes are added. */
export async function addOpenApi(app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Parley',
        description: 'A self-hosted server that holds conversations with language models.',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'Sessions', description: 'Conversations and their settings' },
        { name: 'Messages', description: 'What goes in and what comes back' },
        { name: 'Turns', description: 'One input and everything that led to its answer' },
        { name: 'Server', description: 'Providers and health' },
      ],
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  await app.register(scalar, {
    routePrefix: '/docs',
    logLevel: 'silent',
    configuration: {
      url: '/openapi.json',
      // The page makes no request to anybody else.
      withDefaultFonts: false,
      telemetry: false,
      agent: { disabled: true },
    },
  });
}

/** The OpenAPI document, made from the routes' schemas, with its page. */

import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { addDocsPage } from './docs-page.ts';
import type { App } from './rooms.ts';
import { allowCaching } from './security-headers.ts';

/** What a server offers: the API, the administration, or both. */
export type Offer = 'api' | 'administration' | 'whole';

const API_TAGS = [
  { name: 'Sessions', description: 'Conversations and their settings' },
  { name: 'Messages', description: 'What goes in and what comes back' },
  { name: 'Turns', description: 'One input and everything that led to its answer' },
  { name: 'UI', description: 'The chat transport of the AI SDK: what its useChat sends and reads' },
  { name: 'OpenAI', description: "The same conversations in the format of OpenAI's API" },
];
const ADMINISTRATION_TAG = {
  name: 'Administration',
  description: 'Clients, keys, the allowlist, providers, sessions of all, usage; with X-Admin-Token',
};
const SERVER_TAG = { name: 'Server', description: 'Providers, health and readiness' };

/** Must be called before the routes are added. */
export async function addOpenApi(app: App, version: string, offer: Offer): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: offer === 'administration' ? 'Parley administration' : 'Parley',
        description: 'A self-hosted server that holds conversations with language models.',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        ...(offer === 'administration' ? [] : API_TAGS),
        ...(offer === 'api' ? [] : [ADMINISTRATION_TAG]),
        SERVER_TAG,
      ],
    },
    transformObject: describeObjectsInQueries,
  });
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    allowCaching(reply);
    return app.swagger();
  });
  addDocsPage(app);
}

type Documented = Parameters<NonNullable<FastifyDynamicSwaggerOptions['transformObject']>>[0];

/** A parameter that is an object is written `name[key]=value`, for which the document has its own words. */
function describeObjectsInQueries(documented: Documented) {
  if (!('openapiObject' in documented)) return documented.swaggerObject;
  const { openapiObject: document } = documented;
  for (const path of Object.values(document.paths ?? {})) {
    for (const parameter of path?.get?.parameters ?? []) {
      if ('$ref' in parameter || parameter.in !== 'query') continue;
      const { schema } = parameter;
      if (schema === undefined || '$ref' in schema || schema.type !== 'object') continue;
      Object.assign(parameter, { style: 'deepObject', explode: true });
    }
  }
  return document;
}

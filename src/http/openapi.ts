/** The OpenAPI document, made from the routes' schemas, and its page. */

import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { AppError } from '../errors.ts';
import type { App } from './rooms.ts';

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
        { name: 'Administration', description: 'Clients, keys and the allowlist; with X-Admin-Token' },
        { name: 'Server', description: 'Providers, health and readiness' },
      ],
    },
    transformObject: describeObjectsInQueries,
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  addPage(app);
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

/**
 * The page's package holds megabytes of script in memory, which most servers never show anybody. It is loaded by
 * the first request for the page, in an instance of its own that requests are handed to.
 */
function addPage(app: App): void {
  let page: Promise<FastifyInstance> | undefined;
  for (const url of ['/docs', '/docs/*']) {
    app.get(url, { schema: { hide: true } }, async (request, reply) => {
      page ??= loadPage();
      const answer = await (await page).inject({ method: 'GET', url: request.url });
      if (answer.statusCode === 404) throw new AppError('route_not_found');
      for (const name of ['content-type', 'location'] as const) {
        const value = answer.headers[name];
        if (value !== undefined) void reply.header(name, value);
      }
      return reply.code(answer.statusCode).send(answer.rawPayload);
    });
  }
}

async function loadPage(): Promise<FastifyInstance> {
  const { default: scalar } = await import('@scalar/fastify-api-reference');
  const page = Fastify();
  await page.register(scalar, {
    routePrefix: '/docs',
    configuration: {
      url: '/openapi.json',
      // The page makes no request to anybody else.
      withDefaultFonts: false,
      telemetry: false,
      agent: { disabled: true },
      // Nor does it lead anybody to other people's services.
      mcp: { disabled: true },
      showDeveloperTools: 'never',
      hideClientButton: true,
    },
  });
  return page;
}

/** The page of the OpenAPI document: a package's, which asks this server alone. */

import { createHash } from 'node:crypto';
import Fastify, { type FastifyInstance } from 'fastify';
import { AppError } from '../errors.ts';
import type { App } from './rooms.ts';
import { allowCaching } from './security-headers.ts';

/**
 * The page's package holds megabytes of script in memory, which most servers never show anybody. It is loaded by
 * the first request for the page, in an instance of its own that requests are handed to.
 */
export function addDocsPage(app: App): void {
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
      allowCaching(reply);
      const isPage = answer.headers['content-type']?.startsWith('text/html') ?? false;
      if (isPage) void reply.header('content-security-policy', policyFor(answer.payload));
      return reply.code(answer.statusCode).send(answer.rawPayload);
    });
  }
}

/**
 * Lets the page run its own scripts, those that stand in it by what they are, and ask this server. Styles are made by
 * the script as it goes, and can load nothing from elsewhere.
 */
function policyFor(html: string): string {
  const inline = [...html.matchAll(/<script\b(?![^>]*\bsrc=)[^>]*>([^]*?)<\/script>/g)].map(
    ([, code]) => code ?? '',
  );
  const hashes = inline.map((code) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`);
  return [
    "default-src 'none'",
    ["script-src 'self'", ...hashes].join(' '),
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
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

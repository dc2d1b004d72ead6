/** `GET /providers`: who can answer. */

import type { App, Rooms } from '../app.ts';
import { ProviderList } from '../schemas.ts';

export function addProviderRoutes(app: App, { providers }: Rooms): void {
  app.get(
    '/providers',
    {
      schema: {
        tags: ['Server'],
        operationId: 'listProviders',
        summary: 'Providers and their models',
        response: { 200: ProviderList },
      },
    },
    () => ({
      object: 'list' as const,
      default: providers.default.name,
      data: providers.all.map((provider) => ({
        object: 'provider' as const,
        name: provider.name,
        default_model: provider.defaultModel,
        models: [...provider.models],
        context_tokens: provider.contextTokens,
      })),
    }),
  );
}

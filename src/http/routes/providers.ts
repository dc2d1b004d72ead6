/** `GET /providers`: who can answer, and how it stands with each. */

import type { App, Rooms } from '../rooms.ts';
import { ProviderList } from '../server-schemas.ts';
import { targetView } from '../views.ts';

export function addProviderRoutes(app: App, { providers, readiness, routes }: Rooms): void {
  app.get(
    '/providers',
    {
      schema: {
        tags: ['Server'],
        operationId: 'listProviders',
        summary: 'Providers, their models and their health; routes',
        response: { 200: ProviderList },
      },
    },
    () => {
      const states = readiness.targets();
      return {
        object: 'list' as const,
        default: providers.default.name,
        data: providers.all.map((provider) => ({
          object: 'provider' as const,
          name: provider.name,
          default_model: provider.defaultModel,
          models: [...provider.models],
          context_tokens: provider.contextTokens,
          in_service: readiness.isInService(provider.name),
          targets: states.filter((state) => state.provider === provider.name).map(targetView),
        })),
        routes: routes.map(({ name, targets }) => ({
          name,
          targets: targets.map((target) => ({ ...target })),
        })),
      };
    },
  );
}

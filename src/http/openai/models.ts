/** `/v1/models`: what a request can name as its model. */

import { Type } from 'typebox';
import { AppError } from '../../errors.ts';
import type { App, Rooms } from '../rooms.ts';
import { openAIErrors } from './openai-schemas.ts';

const Model = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String({ description: 'The provider, or `parley` for a route' }),
});

export function addModelRoutes(app: App, { providers, routes }: Pick<Rooms, 'providers' | 'routes'>): void {
  const created = Math.floor(Date.now() / 1000);
  const model = (id: string, owner: string) => ({
    id,
    object: 'model' as const,
    created,
    owned_by: owner,
  });
  const bare = providers.default.models.map((id) => model(id, providers.default.name));
  const named = providers.all.flatMap(({ name, models }) => models.map((id) => model(`${name}/${id}`, name)));
  // Of several of one name the first is what a request would ask.
  const all = [...routes.map(({ name }) => model(name, 'parley')), ...bare, ...named];
  const data = [...new Map(all.toReversed().map((one) => [one.id, one])).values()].toReversed();

  app.get(
    '/v1/models',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listModels',
        summary: 'Models and routes that a request can name',
        response: {
          200: Type.Object({ object: Type.Literal('list'), data: Type.Array(Model) }),
          ...openAIErrors,
        },
      },
    },
    () => ({ object: 'list' as const, data }),
  );

  app.get(
    '/v1/models/:model',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'getModel',
        summary: 'One of them',
        params: Type.Object({ model: Type.String({ description: 'With its slashes, encoded or not' }) }),
        response: { 200: Model, ...openAIErrors },
      },
    },
    ({ params }) => find(params.model),
  );

  // Ids have slashes in them, which some clients encode and others do not.
  app.get(
    '/v1/models/*',
    { schema: { hide: true, params: Type.Object({ '*': Type.String() }) } },
    ({ params }) => find(params['*']),
  );

  function find(id: string) {
    const found = data.find((one) => one.id === id);
    if (found === undefined) throw new AppError('model_not_found', { param: 'model' });
    return found;
  }
}

/** `/admin/providers`: how it stands with each, and what operators do about it. */

import type { Static } from 'typebox';
import type { Provider } from '../../providers/provider.ts';
import { optionalBody } from '../optional-body.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import { isoTimeOrNull, targetView } from '../views.ts';
import type { AdminRooms } from './admin-rooms.ts';
import * as schemas from './provider-schemas.ts';

const errors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
const tags = ['Administration'];

type ProviderRooms = Pick<AdminRooms, 'providers' | 'operations' | 'targets'>;

export function addAdminProviderRoutes(app: App, rooms: ProviderRooms): void {
  const { providers, operations } = rooms;

  app.get(
    '/admin/providers',
    {
      schema: {
        tags,
        operationId: 'listAdminProviders',
        summary: 'Providers, whether they are in service, and their targets',
        response: { 200: schemas.OperatedProviderList, ...errors },
      },
    },
    () => ({ object: 'list' as const, data: providers.all.map((provider) => view(provider, rooms)) }),
  );

  app.post(
    '/admin/providers/:provider/stop',
    {
      preValidation: optionalBody,
      schema: {
        tags,
        operationId: 'stopProvider',
        summary: 'Take a provider out of service',
        description:
          'Turns that begin from now on do not ask it, until it is put back; a restart changes nothing about that. ' +
          'Turns under way are not broken off. One that is out of service already gets the new note, if there is one.',
        params: schemas.ProviderParams,
        body: schemas.StopRequest,
        response: { 200: schemas.OperatedProvider, ...errors },
      },
    },
    async ({ params, body }) => {
      const provider = providers.get(params.provider);
      await operations.stop(provider.name, body.note);
      return view(provider, rooms);
    },
  );

  app.post(
    '/admin/providers/:provider/start',
    {
      preValidation: optionalBody,
      schema: {
        tags,
        operationId: 'startProvider',
        summary: 'Put a provider back into service',
        description:
          'Nothing happens to one that is in service. What is known of its failures stays; see reset.',
        params: schemas.ProviderParams,
        body: schemas.StartRequest,
        response: { 200: schemas.OperatedProvider, ...errors },
      },
    },
    async ({ params }) => {
      const provider = providers.get(params.provider);
      await operations.start(provider.name);
      return view(provider, rooms);
    },
  );

  app.post(
    '/admin/providers/:provider/reset',
    {
      preValidation: optionalBody,
      schema: {
        tags,
        operationId: 'resetProvider',
        summary: 'Forget the failures of a provider',
        description:
          'Its targets, or the one with that model, are asked again at once, as if nothing had gone wrong. Whether ' +
          'the provider is in service stays as it is.',
        params: schemas.ProviderParams,
        body: schemas.ResetRequest,
        response: { 200: schemas.OperatedProvider, ...errors },
      },
    },
    async ({ params, body }) => {
      const provider = providers.get(params.provider);
      await operations.reset(provider.name, body.model ?? null);
      return view(provider, rooms);
    },
  );
}

function view(
  { name, defaultModel }: Provider,
  { operations, targets }: ProviderRooms,
): Static<typeof schemas.OperatedProvider> {
  const stopped = operations.stopped(name);
  return {
    object: 'provider',
    name,
    in_service: stopped === null,
    stopped_at: isoTimeOrNull(stopped?.stoppedAt ?? null),
    note: stopped?.note ?? null,
    default_model: defaultModel,
    targets: targets()
      .filter(({ provider }) => provider === name)
      .map(targetView),
  };
}

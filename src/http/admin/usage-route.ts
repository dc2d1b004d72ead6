/** `/admin/usage`: what clients have used, by day, client, provider and model. */

import type { Static } from 'typebox';
import type { Directory } from '../../clients/directory.ts';
import { countDays, dayAfter, dayOf } from '../../conversation/day.ts';
import type { UsagePlace, UsageSum } from '../../conversation/usage-count.ts';
import { AppError } from '../../errors.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import type { AdminRooms } from './admin-rooms.ts';
import * as schemas from './usage-schemas.ts';

/** What is shown where the query does not say. */
const USUAL_DAYS = 30;
/** A year, and the day on which it begins again. */
const MOST_DAYS = 367;
/** More than a screen or a sheet holds; what it takes in memory is a few megabytes. */
const MOST_SUMS = 10_000;

/** The words of the API, and those of the code. */
const PARTS: Record<(typeof schemas.PARTS)[number], keyof UsagePlace> = {
  day: 'day',
  client: 'owner',
  provider: 'provider',
  model: 'model',
};

export function addUsageRoute(
  app: App,
  { adminStore, directory }: Pick<AdminRooms, 'adminStore' | 'directory'>,
): void {
  app.get(
    '/admin/usage',
    {
      schema: {
        tags: ['Administration'],
        operationId: 'readUsage',
        summary: 'What clients have used',
        description:
          'Of every attempt that a model has answered, or for which the provider tells what it took, seconds after ' +
          `the end of its turn. At most ${MOST_DAYS} days and ${MOST_SUMS} sums at once.`,
        querystring: schemas.UsageQuery,
        response: { 200: schemas.UsageList, '4xx': ErrorAnswer, '5xx': ErrorAnswer },
      },
    },
    async ({ query }) => {
      const { from, to } = daysOf(query);
      const by = partsOf(query.by ?? 'day');
      const owner = query.owner ?? null;
      const page = await adminStore.readUsage({ from, to, owner, by, limit: MOST_SUMS });
      const data = page.data.map((sum) => usageView(sum, directory));
      return { object: 'list' as const, data, has_more: page.hasMore, from, to };
    },
  );
}

function daysOf(query: { from?: string; to?: string }): { from: string; to: string } {
  const { to = dayOf(Date.now()) } = query;
  const { from = dayAfter(to, 1 - USUAL_DAYS) } = query;
  const days = countDays(from, to);
  if (days >= 1 && days <= MOST_DAYS) return { from, to };
  const message =
    days < 1 ? `must not be after ${to}` : `must not be more than ${MOST_DAYS - 1} days before ${to}`;
  throw new AppError('invalid_request', { problems: [{ in: 'querystring', path: '/from', message }] });
}

function partsOf(by: string): (keyof UsagePlace)[] {
  const named = new Set(by.split(','));
  return schemas.PARTS.filter((part) => named.has(part)).map((part) => PARTS[part]);
}

function usageView(sum: UsageSum, directory: Pick<Directory, 'nameOf'>): Static<typeof schemas.Usage> {
  const { day, owner, provider, model } = sum;
  return {
    ...(day === null ? {} : { day }),
    ...(owner === null ? {} : { owner, client_name: directory.nameOf(owner) }),
    ...(provider === null ? {} : { provider }),
    ...(model === null ? {} : { model }),
    turns: sum.turns,
    attempts: sum.attempts,
    input_tokens: sum.inputTokens,
    output_tokens: sum.outputTokens,
    cached_tokens: sum.cachedTokens,
    reasoning_tokens: sum.reasoningTokens,
    cost: sum.cost,
  };
}

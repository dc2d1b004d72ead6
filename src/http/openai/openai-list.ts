/** Pages as clients of OpenAI's read them. */

import { AppError } from '../../errors.ts';

interface Element extends Record<string, unknown> {
  id: string;
}

export function listView<One extends Element>(data: readonly One[], hasMore: boolean) {
  return {
    object: 'list' as const,
    data: [...data],
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}

/**
 * A page of what is all there. Throws `invalid_cursor` for an `after` that is not among it.
 * @param all in ascending order
 */
export function pageOf<One extends Element>(
  all: readonly One[],
  { limit, after, order }: { limit: number; after: string | undefined; order: 'asc' | 'desc' },
) {
  const ordered = order === 'asc' ? all : all.toReversed();
  const start = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0) throw new AppError('invalid_cursor', { param: 'after' });
  return listView(ordered.slice(start, start + limit), ordered.length > start + limit);
}

/** For what is looked up after it was listed: null where it was deleted in the meantime. */
export function unlessGone(error: unknown): null {
  if (error instanceof AppError && error.status === 404) return null;
  throw error;
}

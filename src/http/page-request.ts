/** The page that a list's query asks for. */

import type { PageRequest } from '../conversation/page.ts';

/** Elements of a page where the query does not say. */
const DEFAULT_LIMIT = 20;

/** @param usual the list's order where the query names none */
export function pageOf(
  query: { limit?: number; after?: string; order?: 'asc' | 'desc' },
  usual: PageRequest['order'],
): PageRequest {
  return { limit: query.limit ?? DEFAULT_LIMIT, after: query.after ?? null, order: query.order ?? usual };
}

/** Lists of what was looked for among a bounded number of elements. */

import type { SearchedPage } from '../../conversation/page.ts';
import { listView } from '../views.ts';

/** What the document says of such a list. */
export const SEARCHED =
  'One call looks at a bounded number, so that a page may be short, or empty, and `has_more` true all the same. ' +
  '`last_id` is then the last one that was looked at, and `after` it goes on.';

export function searchedView<Element, View extends { id: string }>(
  page: SearchedPage<Element>,
  view: (element: Element) => View,
) {
  const list = listView(page, view);
  return page.hasMore ? { ...list, last_id: page.lastId } : list;
}

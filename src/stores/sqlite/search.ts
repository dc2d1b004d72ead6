/** Looking for what few rows may be, without looking at all of them: the event loop has others to serve. */

import type { SearchedPage } from '../../conversation/page.ts';

/** Rows that one search looks at: a few milliseconds, most of them for reading the records of turns. */
export const LOOKED_AT = 500;
/** Rows that are read at once: most pages are found among fewer, and rows beyond them would be read for nothing. */
const AT_ONCE = 50;

export interface Search<Row, Element> {
  limit: number;
  /** Where to begin; null = at the first row. */
  after: string | null;
  /** The next rows in the order of the search. */
  read(after: string | null, count: number): Row[];
  idOf(row: Row): string;
  /** Null for a row that is not looked for. */
  match(row: Row): Element | null;
}

export function search<Row, Element>(wanted: Search<Row, Element>): SearchedPage<Element> {
  const data: Element[] = [];
  let lastId = wanted.after;
  for (let looked = 0; looked < LOOKED_AT; looked += AT_ONCE) {
    const rows = wanted.read(lastId, AT_ONCE);
    for (const row of rows) {
      if (data.length === wanted.limit) return { data, hasMore: true, lastId };
      lastId = wanted.idOf(row);
      const element = wanted.match(row);
      if (element !== null) data.push(element);
    }
    if (rows.length < AT_ONCE) return { data, hasMore: false, lastId };
  }
  return { data, hasMore: true, lastId };
}

/** Lists by cursor: a page, and what asks for one. */

export interface PageRequest {
  /** How many elements at most. */
  limit: number;
  /** The id of the last element of the page before; null starts at the beginning. */
  after: string | null;
  /** `asc`: oldest first. */
  order: 'asc' | 'desc';
}

export interface Page<Element> {
  data: Element[];
  hasMore: boolean;
}

/**
 * What was found by looking at a bounded number of elements. So it may be short, or empty, and others may all the same
 * come after it.
 */
export interface SearchedPage<Element> extends Page<Element> {
  /** The last element that was looked at, found or not, from where to go on; null if there was none. */
  lastId: string | null;
}

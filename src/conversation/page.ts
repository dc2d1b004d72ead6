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

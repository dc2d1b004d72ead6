/** What a campaign strikes at, as its clients and whoever deals the blows see it: one server, or several on one store. */

import type { TurnRecord } from './history.ts';

export interface Stronghold {
  /** Where to send the next request. Rejects if a server does not come back. */
  alive(): Promise<Life>;
  /**
   * Deals the next blow, and resolves when everything stands again.
   * @param meanwhile sees the server before anybody writes to it; not called where others go on writing
   */
  strike(meanwhile: (url: string) => Promise<void>): Promise<void>;
  /** Milliseconds that a message may take without a blow in between; Infinity where nobody looks at that. */
  readonly patience: number;
  /** Why a turn may have failed, by code. */
  readonly failures: ReadonlySet<string>;
  /** What it alone can tell of all turns, after the last blow: the promises that were broken, one sentence each. */
  judge(turns: readonly TurnRecord[]): Promise<string[]>;
  /** What was done to it, in words, with its number. */
  suffered(): Record<string, number>;
  close(): Promise<void>;
}

/** What a request meets. */
export interface Life {
  readonly url: string;
  /** Whether a blow has been dealt that the request may feel: from then on connections may break. */
  readonly over: boolean;
  /** Whether such a blow may have been answered with this code instead. */
  forgives(code: string): boolean;
  /** Milliseconds since the request was sent, and since the last blow. */
  undisturbed(): number;
}

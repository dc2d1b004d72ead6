/** How it stands with a target: whether requests are sent to it, as operators and clients are shown it. */

export interface TargetState {
  provider: string;
  model: string;
  /**
   * - `closed`: nothing speaks against it.
   * - `resting`: it asked to be left alone until `until`.
   * - `open`: it failed too often and is left out until `until`.
   * - `half_open`: one request is trying whether it is back.
   */
  state: 'closed' | 'resting' | 'open' | 'half_open';
  /** Milliseconds since the epoch. */
  since: number;
  until: number | null;
}

/** What a server has found out of a target's health, for the others: in times that do not depend on anybody's clock. */
export interface TargetReport {
  provider: string;
  model: string;
  /** `trial`: one attempt tries whether it is back, and the others leave it out until that is known. */
  health: 'open' | 'trial' | 'resting' | 'closed';
  /** Milliseconds from now for which this holds at most; 0 for `closed`. */
  milliseconds: number;
}

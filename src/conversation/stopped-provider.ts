/** A provider that an operator has taken out of service: no turn that begins asks it until it is put back. */

export interface StoppedProvider {
  /** The name of the provider, as the configuration has it. */
  provider: string;
  /** The operator's own words. */
  note: string | null;
  /** Milliseconds since the epoch. */
  stoppedAt: number;
}

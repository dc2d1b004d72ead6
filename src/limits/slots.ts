/**
 * Slots: how much of an identity's work may go on at the same time. A token bucket cannot say that: what takes long
 * costs it no more than what is over at once.
 */

export interface Slots {
  /**
   * Takes a slot, or none if as many are taken as there are. Rejects with `LimitsOutage` where they are kept elsewhere
   * and cannot be reached.
   * @param most how many the identity has; a change holds from the next take on, and ends nothing that goes on
   */
  take(identity: string, most: number): Promise<Slot | null>;
}

export interface Slot {
  /**
   * Gives it back; a second time does nothing. Resolves when whoever then asks, any server, finds it free, or when it
   * could not be said where slots are kept: it is free there after a while. Never rejects.
   */
  release(): Promise<void>;
}

/** The part of a logger that stores need. */

export interface StoreLog {
  error(details: { err: unknown }, message: string): void;
  warn(message: string): void;
}

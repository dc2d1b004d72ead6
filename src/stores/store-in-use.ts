/** A database that cannot be opened because another process has it, as SQLite files are one server's alone. */

export class StoreInUseError extends Error {
  override readonly name = 'StoreInUseError';

  /** @param path of the database, as the operator knows it */
  constructor(path: string, options?: { cause?: unknown }) {
    super(`Another server is using ${path}. One database file serves one server.`, options);
  }
}

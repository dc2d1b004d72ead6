/** The administration as commands call it, in the JSON of the admin API. */

export interface AdminApi {
  /**
   * The body of the answer; null where it has none. Throws a `CommandError` with what was refused, or why nobody
   * answers.
   */
  call: AdminCall;
  close(): Promise<void>;
}

/** @param path such as `/admin/clients` */
export type AdminCall = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => Promise<unknown>;

/** Who calls. The server has no API keys yet: it is open, and everybody is the same client. */

/** The owner of every session of an open server. */
const OPEN_OWNER = 'open';

/** The client that a request comes from, which is the owner of the sessions it makes. */
export function ownerOf(): string {
  return OPEN_OWNER;
}

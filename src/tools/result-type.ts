/**
 * The kind of a result, which the protocol of 2026-07-28 has in each. Where a server leaves it out it is `complete`, says
 * the protocol, and the driver refuses it all the same.
 */

import type { JSONRPCMessage } from '@modelcontextprotocol/client';

/** The first version in which results have kinds. Versions are dates, and so in the order of their texts. */
const FIRST_VERSION = '2026-07-28';

/** Writes the kind into a result that has none, in a connection of this version; leaves all else alone. */
export function assumeComplete(message: JSONRPCMessage, version: string | undefined): void {
  if (version === undefined || version < FIRST_VERSION || !('result' in message)) return;
  message.result.resultType ??= 'complete';
}

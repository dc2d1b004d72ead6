/** A connection whose client does not read: what the server sends stays in the buffers of the system. */

import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';

export interface UnreadStream {
  /** Reads everything to the end, all at once. */
  read(): Promise<string>;
}

/** Resolves when the head of the answer is there; of its body nothing is read until `read`. */
export async function openUnread(url: string): Promise<UnreadStream> {
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  return {
    async read() {
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      return text;
    },
  };
}

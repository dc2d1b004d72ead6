/** What a server says when it has started: to whoever reads its output, and to the log. */

import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import { type Parley, version } from '../main.ts';
import { placeOf } from './place-of.ts';

/** What an operator should know from the log. */
export function sayAtStart(
  parley: Pick<Parley, 'interrupted' | 'open'>,
  { allowOpen }: Pick<Config, 'allowOpen'>,
  log: Logger,
): void {
  if (parley.interrupted > 0) log.warn({ turns: parley.interrupted }, 'a crash had left turns unfinished');
  if (!allowOpen) return;
  const meaning = parley.open
    ? 'whoever reaches this server can use it'
    : 'there are keys, which it is not needed for';
  log.warn(`ALLOW_OPEN is set: ${meaning}`);
}

/** What a newcomer wants to know. */
export function greeting({ url, adminUrl, providers, open }: Parley, config: Config): string {
  const { name, defaultModel } = providers.default;
  const note =
    name === 'demo' ? ' (a demonstration that needs no key; set OPENAI_API_KEY for a real model)' : '';
  const { databaseUrl } = config;
  const data = databaseUrl === 'memory:' ? 'in memory, gone when the server stops' : placeOf(databaseUrl);
  // Whoever copies the command puts a key in; it is none of this process's to print.
  const key = open ? '' : " -H 'Authorization: Bearer YOUR_KEY'";
  return `
Parley ${version} listens on ${url}
  provider  ${name}${defaultModel === null ? '' : `, model ${defaultModel}`}${note}
  data      ${data}
  access    ${open ? 'open to whoever reaches it; API_KEYS closes it' : 'with a key'}
  API       ${url}/docs${adminUrl === null ? '' : `\n  admin     ${adminUrl}/docs`}

Try it:
  curl -s ${url}/sessions/$(curl -s${key} -X POST ${url}/sessions | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')/messages${key} \\
    -H 'content-type: application/json' -d '{"content": "Hello, who are you?"}'

`;
}

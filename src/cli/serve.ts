/** `parley serve`: starts the server, says what a newcomer wants to know, and ends it when told to. */

import { ConfigError } from '../config/config-error.ts';
import type { Config } from '../config/schema.ts';
import { type Parley, startParley, version } from '../main.ts';
import { createLog } from '../telemetry/log.ts';
import { EXIT_FAILURE } from './exit-codes.ts';
import { readConfig, refuseConfig } from './read-config.ts';

/** What a shell reports of a process that a signal ended: 128 and the signal's number. */
const EXIT_SIGNAL = { SIGINT: 130, SIGTERM: 143 };

export async function serve(): Promise<void> {
  const config = readConfig();
  if (config === null) return;
  const log = createLog(config.logLevel);
  let parley: Parley;
  try {
    parley = await startParley(config, log);
  } catch (error) {
    if (error instanceof ConfigError) return refuseConfig(error);
    process.stderr.write(
      `parley could not start: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = EXIT_FAILURE;
    return;
  }
  if (parley.interrupted > 0) log.warn({ turns: parley.interrupted }, 'a crash had left turns unfinished');
  if (config.allowOpen) {
    const meaning = parley.open
      ? 'whoever reaches this server can use it'
      : 'there are keys, which it is not needed for';
    log.warn(`ALLOW_OPEN is set: ${meaning}`);
  }
  // Whoever reads the output may leave; the server stays.
  process.stdout.on('error', (error) => log.debug({ err: error }, 'standard output is closed'));
  // Before the greeting: whoever reads it may send a signal.
  closeOnSignal(parley);
  process.stdout.write(greeting(parley, config));
}

/** The first signal closes the server in order, a second one ends it where it stands. */
function closeOnSignal(parley: Parley): void {
  let closing = false;
  const onSignal = (signal: 'SIGINT' | 'SIGTERM') => {
    if (closing) process.exit(EXIT_SIGNAL[signal]);
    closing = true;
    process.stdout.write(`${signal}: finishing running turns; a second signal ends at once\n`);
    parley.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`closing failed: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}

/** Without whatever a location may say of users and passwords. */
function whereDataIs(databaseUrl: string): string {
  if (databaseUrl === 'memory:') return 'in memory, gone when the server stops';
  if (databaseUrl.startsWith('sqlite:')) return databaseUrl.slice('sqlite:'.length);
  const { protocol, host, pathname } = new URL(databaseUrl);
  return `${protocol}//${host}${pathname}`;
}

function greeting({ url, adminUrl, providers, open }: Parley, config: Config): string {
  const { name, defaultModel } = providers.default;
  const note =
    name === 'demo' ? ' (a demonstration that needs no key; set OPENAI_API_KEY for a real model)' : '';
  const data = whereDataIs(config.databaseUrl);
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

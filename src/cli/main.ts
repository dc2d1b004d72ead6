#!/usr/bin/env node
/** The `parley` command: finds the subcommand and hands over. */

import { parseArgs } from 'node:util';
import { version } from '../main.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { exportStore } from './export.ts';
import { importStore } from './import.ts';
import { keys } from './keys.ts';
import { serve } from './serve.ts';
import { tools } from './tools.ts';

const USAGE = `parley ${version}: a self-hosted server that holds conversations with language models

usage:
  parley [serve]      start the server
  parley keys ...     make, list, rotate and revoke API keys; see parley keys --help
  parley tools ...    tools of the configured servers, and calling one by hand; see parley tools --help
  parley export ...   everything in the store as lines of JSON; see parley export --help
  parley import ...   what was exported, into any other store; see parley import --help
  parley --version
  parley --help

Settings come from the environment, a .env file and the YAML file named by APP_CONFIG_FILE; the README lists them.
`;

/** Those that have options of their own. */
const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  keys,
  tools,
  export: exportStore,
  import: importStore,
};

function main(args: readonly string[]): Promise<void> | void {
  const [first = '', ...others] = args;
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (command !== undefined) return command(others);
  const { values, positionals, problem } = read(args);
  if (problem !== null) {
    process.stderr.write(`parley: ${problem}\n\n${USAGE}`);
    process.exitCode = EXIT_USAGE;
  } else if (values.help) {
    process.stdout.write(USAGE);
  } else if (values.version) {
    process.stdout.write(`${version}\n`);
  } else {
    const [name = 'serve', ...rest] = positionals;
    if (name === 'serve' && rest.length === 0) return serve();
    process.stderr.write(`parley: there is no command "${positionals.join(' ')}"\n\n${USAGE}`);
    process.exitCode = EXIT_USAGE;
  }
}

function read(args: readonly string[]) {
  const options = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  } as const;
  try {
    return { ...parseArgs({ args: [...args], options, allowPositionals: true }), problem: null };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { values: {}, positionals: [], problem };
  }
}

await main(process.argv.slice(2));

/** The configuration of a command: that of the process and its working directory. */

import { ConfigError } from '../config/config-error.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { EXIT_CONFIG } from './exit-codes.ts';

/** Null if it cannot be used: then every problem is printed, and the exit code set. */
export function readConfig(): Config | null {
  try {
    return loadConfig({ env: process.env, directory: process.cwd() });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    refuseConfig(error);
    return null;
  }
}

/** Prints what is wrong, and sets the exit code. */
export function refuseConfig({ message }: ConfigError): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = EXIT_CONFIG;
}

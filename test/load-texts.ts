/** For tests of the configuration: loads it from texts instead of files. */

import { join } from 'node:path';
import { ConfigError, type Problem } from '../src/config/config-error.ts';
import { loadConfig } from '../src/config/load.ts';
import type { Config } from '../src/config/schema.ts';

export interface ConfigTexts {
  env?: Record<string, string>;
  dotenv?: string;
  /** The text of `parley.yaml`, which `APP_CONFIG_FILE` then names. */
  yaml?: string;
}

const DIRECTORY = '/srv/parley';

export function loadTexts({ env = {}, dotenv, yaml }: ConfigTexts): Config {
  const texts = new Map<string, string>();
  if (dotenv !== undefined) texts.set(join(DIRECTORY, '.env'), dotenv);
  if (yaml !== undefined) texts.set(join(DIRECTORY, 'parley.yaml'), yaml);
  return loadConfig({
    env: yaml === undefined ? env : { APP_CONFIG_FILE: 'parley.yaml', ...env },
    directory: DIRECTORY,
    readFile(path) {
      const text = texts.get(path);
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return text;
    },
  });
}

/** The problems of a configuration, none if it loads. Anything but a `ConfigError` is thrown on. */
export function problemsOf(texts: ConfigTexts): readonly Problem[] {
  try {
    loadTexts(texts);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** The only problem of a configuration, as the cli would print it. Throws if there is none or another. */
export function problemOf(texts: ConfigTexts): string {
  const problems = problemsOf(texts).map(
    ({ setting, source, problem }) => `${setting} (${source}): ${problem}`,
  );
  const [only] = problems;
  if (only === undefined || problems.length > 1) {
    throw new Error(`one problem was expected, not ${JSON.stringify(problems)}`);
  }
  return only;
}

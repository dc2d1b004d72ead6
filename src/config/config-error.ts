/** What is wrong with the configuration, all of it at once. Says nothing about exit codes: that is the cli's. */

export interface Problem {
  /** The setting's name, or the place in the file: `PORT`, `providers[0].base_url`, `.env`. */
  readonly setting: string;
  /** Where the value came from: `environment`, `.env`, or the path of the YAML file. */
  readonly source: string;
  /** One phrase that follows the setting's name. Never holds a secret's value. */
  readonly problem: string;
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** In the order in which the settings are documented; never empty. */
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ setting, source, problem }) => `  ${setting} (${source}): ${problem}`);
    super(['The configuration is not usable:', ...lines].join('\n'));
    this.problems = problems;
  }
}

/**
 * Loading the configuration: environment over `.env` over the YAML of `APP_CONFIG_FILE` over defaults. Reads
 * nothing but the files it is told of; `process.env` is an argument like any other.
 */

import { readFileSync } from 'node:fs';
import { ConfigError, type Problem } from './config-error.ts';
import { readMcpServerList } from './mcp-server-list.ts';
import { nearestName } from './nearest-name.ts';
import { readProviderList } from './provider-list.ts';
import { namesInSettings, type Origins, providerNames } from './provider-names.ts';
import { readRouteList } from './route-list.ts';
import {
  type Config,
  configKey,
  lists,
  type SettingName,
  type SettingValues,
  settingNames,
  settings,
  yamlKey,
} from './schema.ts';
import type { Setting, SettingValue } from './setting.ts';
import { type Environment, type ReadFile, readVariables, type Variables } from './variables.ts';
import { expandVariables, readYamlFile, shownName, type YamlFile } from './yaml-file.ts';

export interface ConfigSources {
  readonly env: Environment;
  /** Where `.env` is, and what relative paths are relative to. */
  readonly directory: string;
  readonly readFile?: ReadFile;
}

/** The configuration. Throws `ConfigError` with every problem there is. */
export function loadConfig({ env, directory, readFile = readText }: ConfigSources): Config {
  const problems: Problem[] = [];
  const variables = readVariables({ env, directory, readFile }, problems);
  const path = variables('APP_CONFIG_FILE');
  const file = readYamlFile({ path, directory, readFile }, problems);
  checkYamlNames(file, problems);
  const { values, origins } = withRedisAsDatabase(readSettings(variables, file, problems));
  const list = readProviderList(file, variables, problems);
  const { routes, named: inRoutes } = readRouteList(file, variables, list.providers, problems);
  const named = [...namesInSettings(values, origins), ...inRoutes];
  const isAsked = (provider: string) => named.some(({ name }) => name === provider);
  const mcpServers = readMcpServerList(
    { file, variables, values, origins, providers: list.names, isAsked },
    problems,
  );
  const names = providerNames({ origins, list, mcpServers, named }, problems);
  checkAdminPort(values, origins, problems);
  checkWorkers(values, origins, problems);
  checkMemory(values, origins, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({
    ...values,
    memoryDefault: Math.min(values.memoryDefault, values.memoryMax),
    providers: list.providers,
    routes,
    mcpServers: mcpServers.servers,
    providerNames: names,
    sources: sourcesOf(origins),
  });
}

function sourcesOf(origins: Origins): Config['sources'] {
  const sources = settingNames.map((name) => [name, origins.get(name) ?? 'default'] as const);
  return Object.fromEntries(sources) as Config['sources'];
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}

function checkYamlNames(file: YamlFile, problems: Problem[]): void {
  const declared: Record<string, Setting<SettingValue>> = settings;
  const known = settingNames.filter((name) => !declared[name]?.variableOnly).map(yamlKey);
  known.push(...Object.keys(lists));
  for (const name of file.values.keys()) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    let problem = `is not a setting${nearest === undefined ? '' : `; did you mean "${nearest}"?`}`;
    if (declared[name.toUpperCase()]?.variableOnly) problem = 'can only be set in the environment or in .env';
    problems.push({ setting: shownName(name), source: file.source, problem });
  }
}

/** Every setting's value; one with a problem stands at its default until the problems are thrown. */
function readSettings(
  variables: Variables,
  file: YamlFile,
  problems: Problem[],
): { values: SettingValues; origins: Origins } {
  const values: Record<string, unknown> = {};
  const origins = new Map<SettingName, string>();
  for (const name of settingNames) {
    const setting: Setting<SettingValue> = settings[name];
    const reading = read(name, setting, variables, file);
    if (reading !== undefined) origins.set(name, reading.source);
    if (reading?.problem !== undefined) {
      problems.push({ setting: name, source: reading.source, problem: reading.problem });
    }
    values[configKey(name)] = reading?.value ?? setting.default;
  }
  // Each key got the value of its own setting or that setting's default.
  return { values: values as unknown as SettingValues, origins };
}

/** `REDIS_URL` alone is where conversations are kept as well. */
function withRedisAsDatabase(given: { values: SettingValues; origins: Origins }): typeof given {
  const { redisUrl } = given.values;
  const source = given.origins.get('REDIS_URL');
  if (redisUrl === null || source === undefined || given.origins.has('DATABASE_URL')) return given;
  return {
    values: { ...given.values, databaseUrl: redisUrl },
    origins: new Map([...given.origins, ['DATABASE_URL', source]]),
  };
}

interface Reading {
  source: string;
  value?: unknown;
  problem?: string;
}

/** The setting's value or its problem, from the first source that has one; undefined if none has. */
function read(
  name: SettingName,
  setting: Setting<SettingValue>,
  variables: Variables,
  file: YamlFile,
): Reading | undefined {
  const variable = variables(name);
  if (variable !== undefined)
    return { source: variable.source, ...parse(setting, variable.text, variable.text) };
  const written = textInYaml(setting, file.values.get(yamlKey(name)));
  if (written === '') return undefined;
  if (written === undefined) return { source: file.source, problem: wrongType(setting) };
  const { text, problem } = expandVariables(written, variables);
  if (problem !== undefined) return { source: file.source, problem };
  return { source: file.source, ...parse(setting, text, written) };
}

/** A YAML value as the text that a variable would hold; empty for none, undefined for the wrong type. */
function textInYaml(setting: Setting<SettingValue>, value: unknown): string | undefined {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value.trim();
  if (typeof value === 'number' || typeof value === 'boolean') {
    return setting.yamlType.startsWith(typeof value) ? String(value) : undefined;
  }
  const isList = setting.yamlType === 'list' && Array.isArray(value);
  return isList && value.every((element) => typeof element === 'string') ? value.join(',') : undefined;
}

function wrongType({ yamlType, expects }: Setting<SettingValue>): string {
  return yamlType === 'text' ? 'must be text: put the value in quotes' : `must be ${expects}`;
}

/** `written` is what the source holds, before variables were put in: it may be shown where the value may not. */
function parse(setting: Setting<SettingValue>, text: string, written: string): Omit<Reading, 'source'> {
  const value = setting.parse(text);
  if (value !== undefined) return { value };
  const shown = setting.disclosure === 'whole' ? `, not ${JSON.stringify(shortened(written))}` : '';
  return { problem: `must be ${setting.expects}${shown}` };
}

function shortened(text: string): string {
  const longest = 60;
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** Two servers need two ports; and an address without a port would leave `/admin` where it was. */
function checkAdminPort(
  { port, adminPort, adminHost }: SettingValues,
  origins: Origins,
  problems: Problem[],
): void {
  const undecided = problems.some(({ setting }) => setting === 'PORT' || setting === 'ADMIN_PORT');
  if (undecided) return;
  if (adminPort === null && adminHost !== null) {
    const problem = 'says where ADMIN_PORT listens, which is not set';
    problems.push({ setting: 'ADMIN_HOST', source: origins.get('ADMIN_HOST') ?? 'default', problem });
  }
  // Each free port is another one.
  if (adminPort === null || adminPort === 0 || adminPort !== port) return;
  const problem = 'must not be the same as PORT; without ADMIN_PORT, /admin is there';
  problems.push({ setting: 'ADMIN_PORT', source: origins.get('ADMIN_PORT') ?? 'default', problem });
}

/** A store that one process has for itself cannot be had by several. */
function checkWorkers({ workers, databaseUrl }: SettingValues, origins: Origins, problems: Problem[]): void {
  if (workers === 'auto' || workers === 1 || isShared(databaseUrl)) return;
  problems.push({
    setting: 'WORKERS',
    source: origins.get('WORKERS') ?? 'default',
    problem: `can be 1 alone with ${databaseUrl.split(':', 1)[0]}:, which is one process's; set DATABASE_URL to redis://… or postgres://…`,
  });
}

/** Whether several processes can use the store at once. */
export function isShared(databaseUrl: string): boolean {
  return !/^(sqlite|memory):/.test(databaseUrl);
}

function checkMemory(
  { memoryDefault, memoryMax }: SettingValues,
  origins: Origins,
  problems: Problem[],
): void {
  const source = origins.get('MEMORY_DEFAULT');
  const undecided = problems.some(({ setting }) => setting === 'MEMORY_MAX');
  // A default that nobody set follows a lower MEMORY_MAX by itself.
  if (source === undefined || undecided || memoryDefault <= memoryMax) return;
  problems.push({
    setting: 'MEMORY_DEFAULT',
    source,
    problem: `must be at most MEMORY_MAX, which is ${memoryMax}`,
  });
}

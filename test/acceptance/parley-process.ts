/**
 * A Parley server as its users run it: the command in a process of its own, on a free port, in an empty working
 * directory, with no settings but those given. Acceptance tests talk to it by HTTP alone.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const COMMAND = resolve(import.meta.dirname, '../../src/cli/main.ts');

/** What of the test's environment a server needs to run at all. */
const INHERITED = ['PATH', 'HOME', 'NODE_COMPILE_CACHE', 'NODE_OPTIONS'] as const;

/** Tests send more than any client of an open server may; those of the limits set their own. */
const UNLIMITED = { RATE_RPS: '1000000', RATE_BURST: '1000000' };

export interface ParleyProcess {
  /** Without a slash at the end. */
  readonly url: string;
  /** The working directory: `data/`, `.env` and the like are here. */
  readonly directory: string;
  readonly process: ChildProcess;
  /** Everything written to standard output and standard error so far. */
  output(): string;
  /** The log's lines so far. */
  logLines(): Record<string, unknown>[];
  /** Sends a signal and resolves with the exit code (null if the signal ended it). */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Starts the same server again: same directory and settings, a new port. */
  restart(env?: Record<string, string>): Promise<ParleyProcess>;
}

/** What a command left that ended by itself. */
export interface EndedCommand {
  code: number | null;
  /** Everything that was written. */
  output: string;
  /** What of it was written to standard output. */
  stdout: string;
}

/** Starts a server and resolves when it listens; rejects with its output if it ends before. */
export async function startParley(env: Record<string, string> = {}): Promise<ParleyProcess> {
  return startIn(await emptyDirectory(), env);
}

/** Starts a server with these settings in its YAML file, as an object: JSON is YAML. */
export async function startParleyWithYaml(
  yaml: object,
  env: Record<string, string> = {},
): Promise<ParleyProcess> {
  const directory = await emptyDirectory();
  await writeFile(join(directory, 'parley.yaml'), JSON.stringify(yaml));
  return startIn(directory, { APP_CONFIG_FILE: 'parley.yaml', ...env });
}

/** A working directory for a server. */
export function emptyDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'parley-acceptance-'));
}

/** Ends the server, if it still runs, and removes its directory. */
export async function removeParley(parley: ParleyProcess): Promise<void> {
  await parley.stop('SIGKILL');
  await rm(parley.directory, { recursive: true, force: true });
}

/** Runs the command to its end, for starts that are expected to fail and for `--help` and the like. */
export async function runParley(
  directory: string,
  env: Record<string, string> = {},
  args: readonly string[] = ['serve'],
): Promise<EndedCommand> {
  const { child, output } = spawnParley(directory, env, args);
  let stdout = '';
  child.stdout.on('data', (piece: string) => {
    stdout += piece;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: output(), stdout };
}

/** Waits until the output so far satisfies the test: log lines follow the answer that they tell of. */
export function outputWith(parley: ParleyProcess, test: (output: string) => boolean): Promise<void> {
  const { process: child } = parley;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = () => {
    if (test(parley.output())) resolve();
  };
  const ended = () => reject(new Error(`Parley ended without that output:\n${parley.output()}`));
  look();
  child.stdout?.on('data', look);
  child.stderr?.on('data', look);
  child.once('close', ended);
  return promise.finally(() => {
    child.stdout?.off('data', look);
    child.stderr?.off('data', look);
    child.off('close', ended);
  });
}

/** Starts a server in a directory that is there already. */
export function startParleyIn(directory: string, env: Record<string, string>): Promise<ParleyProcess> {
  return startIn(directory, env);
}

async function startIn(directory: string, env: Record<string, string>): Promise<ParleyProcess> {
  const { child, output } = spawnParley(directory, { PORT: '0', ...env }, ['serve']);
  const ended = once(child, 'close') as Promise<[number | null]>;
  const url = await listening(child, output, ended);
  return {
    url,
    directory,
    process: child,
    output,
    logLines: () =>
      output()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line)),
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const [code] = await ended;
      return code;
    },
    restart: async (more = {}) => {
      await ended;
      return startIn(directory, { ...env, ...more });
    },
  };
}

function spawnParley(directory: string, env: Record<string, string>, args: readonly string[]) {
  const inherited = INHERITED.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: directory,
    env: { ...UNLIMITED, ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  }
  return { child, output: () => text };
}

function listening(child: ChildProcess, output: () => string, ended: Promise<unknown>): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const url = /Parley \S+ listens on (\S+)/.exec(output())?.[1];
      if (url !== undefined) resolve(url);
    };
    child.stdout?.on('data', look);
    void ended.then(() => reject(new Error(`Parley ended before it listened:\n${output()}`)));
  });
}

/**
 * Makes what the Dockerfile makes, without a container engine: its steps run as a script, and the root of the image is
 * a directory. What an engine would keep apart (processes, networks, everything above that directory) is not.
 */

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { createIgnored, parseCopy, parseDockerfile, parsePairs, type Stage } from './dockerfile.ts';

export interface MadeImage {
  /** The directory that stands for `/`. */
  root: string;
  environment: Record<string, string>;
  /** Where its process starts, as a path of this machine. */
  directory: string;
  /** Whose process it is; null where this process may not choose, and is the user itself. */
  identity: { uid: number; gid: number } | null;
}

const SOURCES = resolve(import.meta.dirname, '../..');

/** Paths of the image that its steps name; in a command they are taken for those of the directory. */
const IMAGE_PATHS = /(?<![\w./-])\/(?=(app|var\/lib\/parley|usr\/local\/bin)([/\s"']|$))/g;

/** Runs both stages in that empty directory. @param node the program that stands for the one of the base image */
export function makeImage(directory: string, node: string): MadeImage {
  const stages = parseDockerfile(readFileSync(join(SOURCES, 'Dockerfile'), 'utf8'));
  // Compiled code is kept by its path, so all stages are made at the same one; those that are over are moved aside.
  const root = join(directory, 'root');
  let made: MadeImage | null = null;
  for (const [index, stage] of stages.entries()) {
    if (made !== null) renameSync(root, join(directory, stages[index - 1]?.name ?? ''));
    layBase(root, node);
    made = runStage(stage, directory, root);
  }
  if (made === null) throw new Error('The Dockerfile has no stage.');
  return made;
}

function layBase(root: string, node: string): void {
  const programs = join(root, 'usr/local/bin');
  mkdirSync(programs, { recursive: true });
  place(node, join(programs, 'node'));
  // Nobody else can give files away, nor has to.
  if (process.getuid?.() !== 0) writeFileSync(join(programs, 'chown'), '#!/bin/sh\n', { mode: 0o755 });
}

/** A link where both are on one disk: the program is 100 MB. */
function place(file: string, target: string): void {
  try {
    linkSync(file, target);
  } catch {
    copyFileSync(file, target);
    chmodSync(target, 0o755);
  }
}

function runStage(stage: Stage, directory: string, root: string): MadeImage {
  const inside = (text: string) => text.replace(IMAGE_PATHS, `${root}/`);
  const made: MadeImage = { root, environment: {}, directory: root, identity: null };
  for (const { keyword, value } of stage.instructions) {
    if (keyword === 'WORKDIR') {
      made.directory = inside(value);
      mkdirSync(made.directory, { recursive: true });
    } else if (keyword === 'ENV') Object.assign(made.environment, parsePairs(inside(value)));
    else if (keyword === 'USER') made.identity = identityOf(value);
    else if (keyword === 'COPY') copy(value, directory, made);
    else if (keyword === 'RUN') run(inside(value), made);
  }
  return made;
}

function identityOf(user: string): MadeImage['identity'] {
  if (process.getuid?.() !== 0) return null;
  const [uid = 0, gid = 0] = user.split(':').map(Number);
  return { uid, gid };
}

/** As COPY does it: a directory's contents, without its name. */
function copy(value: string, directory: string, made: MadeImage): void {
  const { from, sources, target } = parseCopy(value);
  const isIgnored = createIgnored(readFileSync(join(SOURCES, '.dockerignore'), 'utf8'));
  for (const source of sources) {
    const path = from === null ? join(SOURCES, source) : join(directory, from, source);
    const isDirectory = statSync(path).isDirectory();
    const destination = join(made.directory, target, isDirectory ? '' : basename(source));
    cpSync(path, destination, {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
      filter: (file) => from !== null || statSync(file).isDirectory() || !isIgnored(relative(SOURCES, file)),
    });
  }
}

function run(command: string, { root, environment, directory, identity }: MadeImage): void {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], {
    cwd: directory,
    env: imageEnvironment(root, environment),
    encoding: 'utf8',
    ...identity,
  });
  if (status !== 0) throw new Error(`A step of the image failed: ${command}\n${stdout}\n${stderr}`);
}

/** What a process of the image sees of the environment, with the way to npm's cache and to the registry. */
export function imageEnvironment(root: string, environment: Record<string, string>): Record<string, string> {
  const passed = Object.entries(process.env).filter(([name]) =>
    /^(HOME|.*_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
  );
  return {
    ...(Object.fromEntries(passed) as Record<string, string>),
    PATH: `${join(root, 'usr/local/bin')}:${process.env['PATH'] ?? ''}`,
    npm_config_prefer_offline: 'true',
    ...environment,
  };
}

/** Takes every right to write from what is in the image, but not from what its steps gave away to the user. */
export function makeReadOnly({ root, directory }: MadeImage): void {
  const data = join(directory, 'data');
  for (const path of globSync('**', { cwd: root }).map((name) => join(root, name))) {
    if (path === data || path.startsWith(`${data}/`) || !existsSync(path)) continue;
    // The program is a link to one that is not the image's.
    if (path === join(root, 'usr/local/bin/node')) continue;
    chmodSync(path, statSync(path).mode & 0o555);
  }
}

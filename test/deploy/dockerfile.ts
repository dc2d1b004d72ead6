/** The Dockerfile and .dockerignore as data: as much of their languages as the ones of this repository use. */

import { matchesGlob } from 'node:path';

export interface Stage {
  /** What it is made from. */
  base: string;
  name: string | null;
  instructions: readonly Instruction[];
}

export interface Instruction {
  keyword: string;
  /** All that follows the keyword, lines joined. */
  value: string;
}

export interface Copy {
  /** The stage that is copied from; null is the directory of the sources. */
  from: string | null;
  sources: readonly string[];
  target: string;
}

export function parseDockerfile(text: string): Stage[] {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replace(/\\\n\s*/g, '')
    .split('\n');
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const line of lines) {
    const [, keyword = '', value = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (keyword === '') throw new Error(`The Dockerfile has a line that is no instruction: ${line}`);
    if (keyword === 'FROM') {
      const [, base = '', name = null] = /^(\S+)(?: AS (\S+))?$/.exec(value) ?? [];
      stages.push({ base, name, instructions: [] });
    } else {
      const stage = stages.at(-1);
      if (stage === undefined) throw new Error(`The Dockerfile has ${keyword} before FROM.`);
      stage.instructions.push({ keyword, value });
    }
  }
  return stages;
}

/** The value of the last instruction of that kind, which is the one that holds. */
export function lastOf(stage: Stage, keyword: string): string {
  const found = stage.instructions.findLast((instruction) => instruction.keyword === keyword);
  if (found === undefined) throw new Error(`The stage from ${stage.base} has no ${keyword}.`);
  return found.value;
}

export function parseCopy(value: string): Copy {
  const words = value.split(/\s+/);
  const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : null;
  const target = words.pop() ?? '';
  if (words.length === 0 || words.some((word) => word.startsWith('--')))
    throw new Error(`COPY ${value} is not understood.`);
  return { from: from ?? null, sources: words, target };
}

/** `NAME=value NAME=value`, without quotes. */
export function parsePairs(value: string): Record<string, string> {
  return Object.fromEntries(value.split(/\s+/).map((pair) => pair.split(/=(.*)/s, 2)));
}

/** The command of a HEALTHCHECK as its words. */
export function healthCommand(stage: Stage): string[] {
  const value = lastOf(stage, 'HEALTHCHECK');
  return JSON.parse(value.slice(value.indexOf('CMD') + 'CMD'.length));
}

/**
 * Whether a file, named from the directory of the sources, is kept out of the image's build. The last line that fits
 * decides; one that fits a directory fits what is in it.
 */
export function createIgnored(dockerignore: string): (path: string) => boolean {
  const rules = dockerignore
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ ignores: !line.startsWith('!'), pattern: line.replace(/^!/, '') }));
  return (path) => {
    const parts = path.split('/');
    const selfAndAbove = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    const rule = rules.findLast(({ pattern }) => selfAndAbove.some((part) => matchesGlob(part, pattern)));
    return rule?.ignores ?? false;
  };
}

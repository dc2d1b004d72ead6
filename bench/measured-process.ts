/** A server in a process of its own, and what it has cost so far; and the same of processes that others have started. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface MeasuredProcess {
  url: string;
  /** From the start of the process until it listened. */
  startMilliseconds: number;
  /** Processor time so far, user and system, of all threads. */
  processorMilliseconds(): number;
  residentMegabytes(): number;
  stop(): Promise<void>;
}

/** The kernel's unit of processor time in /proc: 100 ticks a second on every Linux that Node runs on. */
const MILLISECONDS_PER_TICK = 10;

/** Starts a script of this project and waits until it says where it listens. */
export async function startMeasured(
  script: string,
  { env = {}, args = [] }: { env?: Record<string, string>; args?: string[] } = {},
): Promise<MeasuredProcess> {
  const started = performance.now();
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await address(child);
  return {
    url,
    startMilliseconds: performance.now() - started,
    processorMilliseconds: () => processorFields(child.pid).own,
    residentMegabytes: () => resident(child.pid) / 1024,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'close');
    },
  };
}

async function address(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const piece of child.stdout ?? []) {
    text += String(piece);
    const url = /listens on (http:\S+)/.exec(text)?.[1];
    const port = /listens on \{.*"port":(\d+)/.exec(text)?.[1];
    if (url === undefined && port === undefined) continue;
    // What is not read would fill the pipe and stop the server.
    child.stdout?.resume();
    return url ?? `http://127.0.0.1:${port}`;
  }
  throw new Error(`the process ended before it listened:\n${text}`);
}

/** Processor time so far of a process and of all that it has started, those that have ended included. */
export function processorMillisecondsOfAll(pid: number): number {
  const { own, ended } = processorFields(pid);
  return childrenOf(pid).reduce((sum, child) => sum + ofChild(child), own + ended);
}

function ofChild(pid: number): number {
  try {
    return processorMillisecondsOfAll(pid);
  } catch (error) {
    // It has ended meanwhile, and its parent has its time from the next reading on.
    if (error instanceof Error && 'code' in error && /^(ENOENT|ESRCH)$/.test(String(error.code))) return 0;
    throw error;
  }
}

function childrenOf(pid: number): number[] {
  return globSync(`/proc/${pid}/task/*/children`).flatMap((path) =>
    readFileSync(path, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
}

/** In milliseconds: of the process, and of children that have ended and were waited for. */
function processorFields(pid: number | undefined): { own: number; ended: number } {
  // The name in brackets may hold spaces; the fields after it are counted from the state, which is field 3.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ofFields = (first: number) =>
    (Number(fields[first]) + Number(fields[first + 1])) * MILLISECONDS_PER_TICK;
  return { own: ofFields(11), ended: ofFields(13) };
}

function resident(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

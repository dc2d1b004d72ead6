/** A server in a process of its own, and what it has cost so far. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
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
    processorMilliseconds: () => ticks(child.pid) * MILLISECONDS_PER_TICK,
    residentMegabytes: () => resident(child.pid) / 1024,
    stop: async () => {
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

function ticks(pid: number | undefined): number {
  // The name in brackets may hold spaces; the fields after it are counted from the state, which is field 3.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

function resident(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

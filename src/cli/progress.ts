/**
 * How far a command has come, on standard error: a bar on a terminal, a line now and then elsewhere. It is told of each
 * step and looks at the clock itself.
 */

import { counted, type MoveCounts } from './move-counts.ts';

export interface Progress {
  /** Called after each record. */
  step(): void;
  /** Takes the bar away. */
  end(): void;
}

export interface ProgressOptions {
  /** What is being done, such as "exported". */
  done: string;
  counts: Pick<MoveCounts, 'of'>;
  /** About how many sessions there will be. */
  sessions: number;
  stream: { write(text: string): unknown; readonly isTTY?: boolean };
  /** In milliseconds, from whenever. */
  now(): number;
}

/** Often enough to be seen moving, and seldom enough for whoever reads a log. */
const PAUSES = { terminal: 100, log: 5000 };
const BAR_WIDTH = 30;
const CLEAR_LINE = '\r\u001b[2K';

export function createProgress({ done, counts, sessions, stream, now }: ProgressOptions): Progress {
  const isTerminal = stream.isTTY === true;
  const pause = isTerminal ? PAUSES.terminal : PAUSES.log;
  let shownAt = now();
  let isShown = false;

  return {
    step() {
      const at = now();
      if (at - shownAt < pause) return;
      shownAt = at;
      isShown = true;
      stream.write(isTerminal ? `${CLEAR_LINE}${bar()} ${state()}` : `${done} ${state()}\n`);
    },
    end() {
      if (isTerminal && isShown) stream.write(CLEAR_LINE);
    },
  };

  function state(): string {
    const total = Math.max(sessions, counts.of('session'));
    const turns = counted(counts.of('turn'), 'turn', 'turns');
    return `${counts.of('session').toLocaleString('en-US')} of ${counted(total, 'session', 'sessions')}, ${turns}`;
  }

  function bar(): string {
    // What comes before the sessions is little.
    const share = sessions === 0 ? 0 : Math.min(1, counts.of('session') / sessions);
    const full = Math.floor(share * BAR_WIDTH);
    const percent = `${Math.floor(share * 100)}`.padStart(3);
    return `[${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}] ${percent} %`;
  }
}

/** How the events of a turn are written for whoever reads its stream: there is one for each API that streams. */

import type { NumberedEvent } from '../turns/live-turn.ts';

/** For one reader: it may remember what it has written. */
export interface StreamWire {
  /** The event as a frame or several; empty for what this wire does not show. */
  frame(event: NumberedEvent): string;
  /** For a reader that has fallen behind: its next events have a gap before them. */
  expired(): string;
  /** Whether the stream ends here, although the turn goes on; left out where that never happens. */
  over?(): boolean;
  /** What stands at the end of the stream. */
  end(): string;
}

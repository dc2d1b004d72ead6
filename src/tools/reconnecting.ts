/**
 * One connection for many users: made when first wanted, made again after it was lost, and not tried again at once
 * where trying has failed. Knows nothing of what is connected to.
 */

export interface Reconnecting<Live> {
  /**
   * The connection, made if there is none; all who wait share one attempt. Rejects with what `open` rejected with; with
   * what `rest` makes of that while no attempt is made; or with the signal's reason, which ends this wait alone.
   */
  ready(signal?: AbortSignal): Promise<Live>;
  /** The connection there is, or null. */
  current(): Live | null;
  /** Says that this connection is of no use any more; one that was replaced already is not meant. */
  lost(live: Live): void;
  /** Gives up what is being made, and releases what there is. Whoever waits, or asks later, gets `closed()`. */
  close(): Promise<void>;
}

export interface ReconnectingOptions<Live> {
  /** Makes a connection; the signal aborts when it is not wanted any more. */
  open(signal: AbortSignal): Promise<Live>;
  /** Lets go of a connection that is lost or not needed any more. */
  release(live: Live): Promise<void>;
  /** The error for those who ask while no attempt is made: why the last one failed, and for how long. */
  rest(cause: unknown, milliseconds: number): Error;
  /** The error after closing. */
  closed(): Error;
  readonly restFirstMs: number;
  readonly restMostMs: number;
  readonly stableAfterMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

export function createReconnecting<Live extends object>(
  options: ReconnectingOptions<Live>,
): Reconnecting<Live> {
  const { open, release, rest, closed, now = () => performance.now() } = options;
  const ending = new AbortController();
  let live: Live | null = null;
  let liveSince = 0;
  let opening: Promise<Live> | null = null;
  /** Failures and early losses in a row. */
  let strikes = 0;
  let restsUntil = Number.NEGATIVE_INFINITY;
  let lastFailure: unknown;
  const releasing = new Set<Promise<void>>();

  return { ready, current: () => live, lost, close };

  async function ready(signal?: AbortSignal): Promise<Live> {
    if (ending.signal.aborted) throw closed();
    signal?.throwIfAborted();
    if (live !== null) return live;
    const pause = restsUntil - now();
    if (opening === null && pause > 0) throw rest(lastFailure, Math.ceil(pause));
    opening ??= connect();
    return abortable(opening, signal);
  }

  async function connect(): Promise<Live> {
    try {
      const opened = await open(ending.signal);
      if (ending.signal.aborted) {
        letGo(opened);
        throw closed();
      }
      live = opened;
      liveSince = now();
      return opened;
    } catch (error) {
      if (ending.signal.aborted) throw closed();
      strikes += 1;
      lastFailure = error;
      restsUntil = now() + restOf(strikes);
      throw error;
    } finally {
      opening = null;
    }
  }

  function lost(gone: Live): void {
    if (live !== gone) return;
    live = null;
    letGo(gone);
    if (now() - liveSince >= options.stableAfterMs) strikes = 0;
    strikes += 1;
    // What has worked is tried again at once; what breaks again and again is not.
    if (strikes === 1) return;
    lastFailure = new Error('the connection keeps breaking');
    restsUntil = now() + restOf(strikes - 1);
  }

  async function close(): Promise<void> {
    ending.abort(closed());
    if (live !== null) letGo(live);
    live = null;
    await opening?.catch(() => undefined);
    await Promise.all(releasing);
  }

  function letGo(gone: Live): void {
    const done: Promise<void> = release(gone)
      .catch(() => undefined)
      .finally(() => releasing.delete(done));
    releasing.add(done);
  }

  /** Up to a quarter less, so that servers that lost the same peer do not come back together. */
  function restOf(count: number): number {
    const whole = Math.min(options.restMostMs, options.restFirstMs * 2 ** Math.min(count - 1, 30));
    return whole * (1 - Math.random() / 4);
  }
}

/** The promise, or the signal's reason as soon as it aborts. What the promise then becomes is nobody's concern. */
export function abortable<Value>(promise: Promise<Value>, signal?: AbortSignal): Promise<Value> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

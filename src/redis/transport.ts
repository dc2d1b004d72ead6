/**
 * The way to whatever stands at the other end: a server, a cluster, or the master that sentinels name. A transport sends
 * a command or says at once that it is not connected; it neither waits nor tries again. Commands that are under way when
 * a connection breaks fail, and are never sent twice.
 */

export interface Transport {
  /** @param key decides which node of a cluster is asked */
  send(key: string, command: string[]): Promise<unknown>;
  /** From then on no command can be sent to a server over this transport. @param onMessage called with each message */
  subscribe(channels: readonly string[], onMessage: (text: string) => void): Promise<void>;
  /** Resolves when it is connected for the first time; never rejects, and goes on trying until `destroy`. */
  connect(): Promise<void>;
  /** Ends it at once; whatever is under way fails. */
  destroy(): void;
}

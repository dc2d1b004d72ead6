/**
 * A wire for tests, between a client and a server on this machine: it can be cut, held or delayed in either direction
 * while both ends believe in it. It knows nothing of what goes over it.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What comes from the client, or goes to it. */
export type Direction = 'requests' | 'answers';

export interface TcpProxy {
  port: number;
  /** How many connections there have been so far. */
  connections(): number;
  /** Breaks all connections; new ones are made as before. */
  cut(): void;
  /** Nothing more arrives over the connections that there are, until `release`; new ones are not held. */
  hold(...directions: Direction[]): void;
  release(): void;
  /** Resolves when something has been held back or delayed. */
  untilHeld(): Promise<void>;
  /** Milliseconds by which everything arrives later from now on. */
  delay(milliseconds: number): void;
  /** Breaks all connections and makes no new ones until `accept`. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  /** New connections lead to the server at another port from now on, as they do after a failover. */
  lead(target: number): void;
  close(): Promise<void>;
}

interface Wire {
  client: Socket;
  server: Socket;
  held: Set<Direction>;
  waiting: (() => void)[];
}

/** @param first the port of the server */
export async function startTcpProxy(first: number): Promise<TcpProxy> {
  let target = first;
  const wires = new Set<Wire>();
  let made = 0;
  let later = 0;
  let told: (() => void)[] = [];
  const listener = createServer(carry);
  await listen(0);
  const { port } = listener.address() as AddressInfo;

  return {
    port,
    connections: () => made,
    cut,
    hold(...directions) {
      for (const wire of wires) for (const direction of directions) wire.held.add(direction);
    },
    release() {
      for (const wire of wires) {
        wire.held.clear();
        for (const send of wire.waiting.splice(0)) send();
      }
    },
    untilHeld: () => new Promise((resolve) => told.push(resolve)),
    delay(milliseconds) {
      later = milliseconds;
    },
    refuse,
    accept: () => listen(port),
    lead(port) {
      target = port;
    },
    close: refuse,
  };

  async function listen(at: number): Promise<void> {
    listener.listen(at, '127.0.0.1');
    await once(listener, 'listening');
  }

  async function refuse(): Promise<void> {
    if (!listener.listening) return;
    const closed = once(listener, 'close');
    listener.close();
    cut();
    await closed;
  }

  function cut(): void {
    for (const { client, server } of wires) {
      client.destroy();
      server.destroy();
    }
  }

  function carry(client: Socket): void {
    made += 1;
    const server = connect(target, '127.0.0.1');
    const wire: Wire = { client, server, held: new Set(), waiting: [] };
    wires.add(wire);
    pass(wire, client, server, 'requests');
    pass(wire, server, client, 'answers');
  }

  function pass(wire: Wire, from: Socket, to: Socket, direction: Direction): void {
    /** What is delayed, oldest first: nothing overtakes it, also when the delay becomes shorter. */
    const delayed: (() => void)[] = [];
    let lastDue = 0;
    from.on('data', (chunk) => {
      const send = () => void to.write(chunk);
      if (wire.held.has(direction)) {
        wire.waiting.push(send);
      } else if (later > 0 || delayed.length > 0) {
        lastDue = Math.max(lastDue, performance.now() + later);
        delayed.push(send);
        setTimeout(() => delayed.shift()?.(), lastDue - performance.now());
      } else {
        send();
        return;
      }
      for (const tell of told) tell();
      told = [];
    });
    from.on('error', () => from.destroy());
    from.on('close', () => {
      wires.delete(wire);
      to.destroy();
    });
  }
}

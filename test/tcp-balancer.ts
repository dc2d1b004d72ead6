/**
 * A balancer for tests: each connection goes to the next server in turn, or to the one after it where nobody listens.
 * It knows nothing of what goes over a connection, and never moves one that is there.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpBalancer {
  port: number;
  /** Breaks all connections; new ones are made as before. */
  cut(): void;
  close(): Promise<void>;
}

/** @param ports of the servers as they are at the time, on this machine */
export async function startTcpBalancer(ports: () => readonly number[]): Promise<TcpBalancer> {
  const sockets = new Set<Socket>();
  let turn = 0;
  // What the client says before there is a server waits in its socket.
  const listener = createServer({ pauseOnConnect: true }, (client) => {
    keep(client);
    turn += 1;
    const all = ports();
    carry(
      client,
      all.map((_, index) => all[(turn + index) % all.length] ?? 0),
    );
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  return { port, cut, close };

  function carry(client: Socket, [next, ...others]: readonly number[]): void {
    if (next === undefined) {
      client.destroy();
      return;
    }
    const server = connect(next, '127.0.0.1');
    const tryOthers = () => carry(client, others);
    server.once('error', tryOthers);
    server.once('connect', () => {
      server.off('error', tryOthers);
      keep(server);
      server.on('close', () => client.destroy());
      client.on('close', () => server.destroy());
      if (client.destroyed) server.destroy();
      client.pipe(server).pipe(client);
      client.resume();
    });
  }

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  }

  function cut(): void {
    for (const socket of sockets) socket.destroy();
  }

  async function close(): Promise<void> {
    const closed = once(listener, 'close');
    listener.close();
    cut();
    await closed;
  }
}

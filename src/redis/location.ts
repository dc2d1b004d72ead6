/**
 * The addresses of Redis, as `DATABASE_URL` and `REDIS_URL` give them. Nothing is connected here.
 *
 *     redis://[[user]:password@]host[:port][/database]           one server
 *     redis://host[:port],host[:port],…?cluster                  a cluster, by some of its nodes
 *     redis://host[:port],host[:port],…[/database]?sentinel=NAME the master of that name, by its sentinels
 *
 * `rediss://` encrypts every connection, those to sentinels included; an authority of one's own is made known by
 * NODE_EXTRA_CA_CERTS. User and password are those of the servers that hold the data; sentinels are asked without.
 * `prefix=text` begins every key (`parley:`), so that several installations can share a server. What is special in
 * a URL is percent-encoded.
 */

export interface RedisNode {
  host: string;
  port: number;
}

export interface RedisLocation {
  kind: 'server' | 'cluster' | 'sentinel';
  nodes: readonly RedisNode[];
  encrypted: boolean;
  username: string | undefined;
  password: string | undefined;
  database: number;
  /** The name that sentinels know the master by; empty without sentinels. */
  master: string;
  prefix: string;
}

const FORM =
  /^(?<scheme>rediss?):\/\/(?:(?<user>[^@/?#]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<database>\d*))?(?:\?(?<query>[^#]*))?$/;
const DEFAULT_PORTS = { server: 6379, cluster: 6379, sentinel: 26_379 };

/** Throws an `Error` for the operator, which does not repeat the text, as it may hold a password. */
export function parseRedisLocation(text: string): RedisLocation {
  const parts = FORM.exec(text)?.groups;
  if (parts === undefined)
    throw new Error('The address of Redis must be redis://[user:password@]host[:port][/database].');
  const query = new URLSearchParams(parts['query'] ?? '');
  for (const name of query.keys()) {
    if (!['cluster', 'sentinel', 'prefix'].includes(name)) {
      throw new Error(`The address of Redis knows cluster, sentinel and prefix, and not "${name}".`);
    }
  }
  const kind = query.has('sentinel') ? 'sentinel' : query.has('cluster') ? 'cluster' : 'server';
  const nodes = (parts['hosts'] ?? '').split(',').map((node) => parseNode(node, DEFAULT_PORTS[kind]));
  const database = Number(parts['database'] ?? 0);
  const prefix = query.get('prefix') ?? 'parley:';
  refuseWhatCannotBe({ kind, nodes: nodes.length, database, master: query.get('sentinel'), prefix, query });
  const [username, password] = parseUser(parts['user']);
  return {
    kind,
    nodes,
    encrypted: parts['scheme'] === 'rediss',
    username,
    password,
    database,
    master: query.get('sentinel') ?? '',
    prefix,
  };
}

function refuseWhatCannotBe(given: {
  kind: RedisLocation['kind'];
  nodes: number;
  database: number;
  master: string | null;
  prefix: string;
  query: URLSearchParams;
}): void {
  const { kind, nodes, database, master, prefix, query } = given;
  if (kind === 'server' && nodes > 1) {
    throw new Error('Several addresses of Redis need ?cluster, or ?sentinel= with the name of the master.');
  }
  if (kind === 'cluster' && database !== 0) throw new Error('A Redis Cluster has database 0 alone.');
  if (master === '') throw new Error('sentinel= needs the name of the master.');
  if (query.has('sentinel') && query.has('cluster'))
    throw new Error('cluster and sentinel exclude each other.');
  // Braces say which part of a key decides where a cluster keeps it.
  if (/[{}\s]/.test(prefix)) throw new Error('The prefix of keys in Redis has no braces and no blanks.');
}

function parseNode(text: string, defaultPort: number): RedisNode {
  const parts = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[^:[\]]+))(?::(?<port>\d{1,5}))?$/i.exec(text)?.groups;
  const host = parts?.['v6'] ?? parts?.['host'];
  const port = Number(parts?.['port'] ?? defaultPort);
  if (host === undefined || port < 1 || port > 65_535)
    throw new Error('An address of Redis is host or host:port.');
  return { host, port };
}

function parseUser(text = ''): [username: string | undefined, password: string | undefined] {
  const colon = text.indexOf(':');
  // Without a colon it is a user's name, as in every URL.
  const [user, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  try {
    return [decodeURIComponent(user) || undefined, decodeURIComponent(password) || undefined];
  } catch {
    throw new Error('User and password of Redis are percent-encoded in its address, and these are not.');
  }
}

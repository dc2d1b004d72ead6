/** What `DATABASE_URL` says of a PostgreSQL: Parley's own parameters, and what is for the driver. Pure. */

export interface PostgresLocation {
  /** What the driver connects to: the URL without Parley's own parameters. */
  connectionString: string;
  /** The schema that holds the tables. */
  schema: string;
  /** How many connections there are at most. */
  connections: number;
  /**
   * Whether statements are prepared by name and timeouts set when a connection begins: not behind a proxy that gives
   * each transaction to another connection and does not know of these.
   */
  isDirect: boolean;
  /** Settings for each connection, as PostgreSQL's command line has them; the later win. */
  options: string | undefined;
}

/**
 * Compiling a plan takes longer than any of the store's; and what the functions are written for is the isolation that
 * the database has by default, but need not.
 */
const SETTINGS = '-c jit=off -c default_transaction_isolation=read\\ committed';

/** A schema of its own: the tables have short names, and stay apart from those of the application beside it. */
const DEFAULT_SCHEMA = 'parley';
const DEFAULT_CONNECTIONS = 10;
const MOST_CONNECTIONS = 1000;

/**
 * `postgres://user:password@host:port/database` with the parameters `schema`, `connections` and `prepare` beside those
 * of the driver. Throws an `Error` for the operator that does not repeat the location, which may hold a password.
 */
export function parsePostgresLocation(location: string): PostgresLocation {
  const url = URL.parse(location);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new Error('DATABASE_URL is no URL of a PostgreSQL: postgres://user:password@host:5432/database');
  }
  const take = (name: string): string | null => {
    const value = url.searchParams.get(name);
    url.searchParams.delete(name);
    return value;
  };
  const schema = take('schema') ?? DEFAULT_SCHEMA;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema) || schema.startsWith('pg_')) {
    throw new Error('In DATABASE_URL, "schema" must be a name of small letters, digits and "_".');
  }
  const connections = Number(take('connections') ?? DEFAULT_CONNECTIONS);
  if (!Number.isInteger(connections) || connections < 1 || connections > MOST_CONNECTIONS) {
    throw new Error(`In DATABASE_URL, "connections" must be a whole number from 1 to ${MOST_CONNECTIONS}.`);
  }
  const prepare = take('prepare') ?? 'true';
  if (prepare !== 'true' && prepare !== 'false') {
    throw new Error('In DATABASE_URL, "prepare" must be true or false.');
  }
  settleEncryption(url.searchParams);
  const isDirect = prepare === 'true';
  const given = take('options') ?? undefined;
  const options = isDirect ? [SETTINGS, given].join(' ').trimEnd() : given;
  return { connectionString: url.href, schema, connections, isDirect, options };
}

/** `sslmode` as it can be given, and what the driver is told. */
const ENCRYPTIONS = new Map([
  ['disable', 'disable'],
  ['no-verify', 'no-verify'],
  // Elsewhere these do not look at the name, or at nothing: then whoever is in between can be the one who decrypts.
  ['require', 'verify-full'],
  ['verify-ca', 'verify-full'],
  ['verify-full', 'verify-full'],
]);

/**
 * The driver takes any other word for encryption, which it is not everywhere (`prefer` goes on without it), and warns of
 * the weaker ones, whose meaning it is about to change.
 */
function settleEncryption(parameters: URLSearchParams): void {
  const given = parameters.get('sslmode');
  if (given === null) return;
  const mode = ENCRYPTIONS.get(given);
  if (mode === undefined) {
    throw new Error(`In DATABASE_URL, "sslmode" must be one of ${[...ENCRYPTIONS.keys()].join(', ')}.`);
  }
  if (mode !== given) parameters.set('sslmode', mode);
}

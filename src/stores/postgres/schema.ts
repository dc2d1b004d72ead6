/**
 * The database and its version: what is in a schema of that name is brought up to date, by one server of many that
 * start at once, or refused. The tables are in tables.ts, the functions in their files.
 */

import type { Client } from 'pg';
import { itemFunctions } from './item-functions.ts';
import { pathFunctions } from './path-functions.ts';
import { sessionFunctions } from './session-functions.ts';
import { tableMigrations } from './tables.ts';
import { turnFunctions } from './turn-functions.ts';

/**
 * Number n brings the schema from version n-1 to n, in a transaction. A function that changes gets a new name, with
 * the next number at its end: a server of the version before may still be calling the old one, which a later migration
 * removes.
 */
const migrations: readonly ((schema: string) => string)[] = [
  (schema) =>
    [...tableMigrations, ...pathFunctions, ...sessionFunctions, ...turnFunctions]
      .map((part) => part(schema))
      .join('\n'),
  (schema) => itemFunctions.map((part) => part(schema)).join('\n'),
];

/** The version that this program writes. */
export const SCHEMA_VERSION = migrations.length;

/** "Prly" in ASCII: beside it, a lock's key is a hash of the schema's name. */
const LOCK_SPACE = 0x50726c79;

/**
 * Brings the schema to `SCHEMA_VERSION`, and makes it if there is none. Whoever comes while another does that waits,
 * and finds it done. Throws an `Error` for the operator, and changes nothing, if the schema holds tables and no version
 * of ours, or was written by a newer Parley. If a migration fails, the schema stays at the version before.
 * @param name the schema's name, which needs no quotes inside quotes
 */
export async function migrate(client: Client, name: string): Promise<void> {
  const schema = `"${name}"`;
  // Without a lock, and without writing: nearly every start finds that there is nothing to do.
  for (let version = await readVersion(client, name); version < SCHEMA_VERSION; ) {
    await client.query('BEGIN');
    try {
      await client.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LOCK_SPACE, name]);
      version = await readVersion(client, name);
      const migration = migrations[version];
      if (migration !== undefined) {
        if (version === 0) {
          // Asked for, and not IF NOT EXISTS: that wants the right to make schemas even where there is one.
          const found = await client.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [name]);
          if (found.rowCount === 0) await client.query(`CREATE SCHEMA ${schema}`);
          await client.query(
            `CREATE TABLE ${schema}.parley_version (version integer NOT NULL, probed_at timestamptz)`,
          );
          await client.query(`INSERT INTO ${schema}.parley_version (version) VALUES (0)`);
        }
        await client.query(migration(schema));
        version += 1;
        await client.query(`UPDATE ${schema}.parley_version SET version = ${version}`);
      }
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }
}

/** 0 for a schema that is empty or not there. */
async function readVersion(client: Client, name: string): Promise<number> {
  const found = await client.query<{ is_ours: boolean; tables: number }>(
    `SELECT to_regclass($1) IS NOT NULL AS is_ours, count(*)::integer AS tables
     FROM pg_catalog.pg_tables WHERE schemaname = $2`,
    [`"${name}".parley_version`, name],
  );
  const { is_ours: isOurs = false, tables = 0 } = found.rows[0] ?? {};
  if (!isOurs && tables > 0) {
    throw new Error(
      `The schema "${name}" holds tables that are not Parley's. Name one of its own in DATABASE_URL, with ?schema=`,
    );
  }
  if (!isOurs) return 0;
  const read = await client.query<{ version: number }>(`SELECT version FROM "${name}".parley_version`);
  const version = read.rows[0]?.version ?? 0;
  if (version > SCHEMA_VERSION) {
    throw new Error(
      `The schema "${name}" was written by a newer Parley (version ${version}, this program knows ` +
        `${SCHEMA_VERSION}). Start that version, or restore a backup made before the upgrade.`,
    );
  }
  return version;
}

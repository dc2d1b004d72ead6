/**
 * `parley keys`: makes, lists, rotates and revokes keys. A key that is made stands alone on standard output, so that it
 * can be piped to where it belongs; all that is for people, and the log's line about the change, is on standard error.
 */

import type { Static } from 'typebox';
import type { Client, Key, NewClient, NewKey } from '../http/admin/admin-schemas.ts';
import { createLog } from '../telemetry/log.ts';
import { openAdminApi } from './admin-api.ts';
import type { AdminCall } from './admin-call.ts';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { keyTable, type ListedKey } from './key-table.ts';
import { type KeysRequest, readKeysRequest } from './keys-request.ts';
import { readConfig } from './read-config.ts';

const USAGE = `parley keys: the keys of those who call the API

usage:
  parley keys create NAME [options]            make a client of that name, with a key
  parley keys create --client ID [options]     make another key of a client
  parley keys list                             show all keys of all clients
  parley keys rotate KEY_ID [--grace SECONDS]  make a key in the place of another, which ends after the grace
  parley keys revoke KEY_ID                    end a key at once

options of create:
  --note TEXT      your own words
  --expires WHEN   a day (2026-12-31, to its end in UTC), a time (2026-12-31T18:00:00Z), or from now on (90d, 12h)
  --rps NUMBER     requests a second over time, of a new client
  --burst NUMBER   requests at once after a pause, of a new client

options of all:
  --json           print JSON, as the admin API has it
  --help

A key that is made is printed this once, alone on standard output; the database has its hash. Keys of API_KEYS are not
shown here. The settings are those of the server. The database is opened while no server is using it; otherwise the
server is asked, at HOST and PORT or their ADMIN_ forms, with ADMIN_TOKEN.
`;

export async function keys(args: readonly string[]): Promise<void> {
  try {
    const request = readKeysRequest(args, Date.now());
    if (request.command === 'help') process.stdout.write(USAGE);
    else await run(request);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const hint = error.exitCode === EXIT_USAGE ? 'parley keys --help shows the usage\n' : '';
    process.stderr.write(`parley keys: ${error.message}\n${hint}`);
    process.exitCode = error.exitCode;
  }
}

type Task = Exclude<KeysRequest, { command: 'help' }>;

async function run(request: Task): Promise<void> {
  const config = readConfig();
  if (config === null) return;
  const log = createLog(config.logLevel, process.stderr);
  const api = await openAdminApi(config, request.command === 'create', log);
  try {
    await carryOut(request, api.call);
  } finally {
    await api.close();
  }
}

async function carryOut(request: Task, call: AdminCall): Promise<void> {
  switch (request.command) {
    case 'create': {
      const key = await create(request, call);
      return showNew(key, `key ${key.id} of client ${key.client_id} is made`, request.json);
    }
    case 'rotate': {
      const path = `/admin/keys/${encodeURIComponent(request.keyId)}/rotate`;
      const key = (await call('POST', path, request.body)) as Static<typeof NewKey>;
      return showNew(key, `key ${key.id} is in the place of ${request.keyId}`, request.json);
    }
    case 'revoke':
      await call('DELETE', `/admin/keys/${encodeURIComponent(request.keyId)}`);
      if (request.json) printJson({ id: request.keyId, revoked: true });
      process.stderr.write(`key ${request.keyId} is revoked\n`);
      return;
    case 'list': {
      const all = await list(call);
      if (request.json) printJson(all);
      else process.stdout.write(keyTable(all, Date.now()));
    }
  }
}

async function create(
  { client, body }: Extract<Task, { command: 'create' }>,
  call: AdminCall,
): Promise<Static<typeof NewKey>> {
  if (client === null) return ((await call('POST', '/admin/clients', body)) as Static<typeof NewClient>).key;
  const path = `/admin/clients/${encodeURIComponent(client)}/keys`;
  return (await call('POST', path, body)) as Static<typeof NewKey>;
}

async function list(call: AdminCall): Promise<ListedKey[]> {
  const all: ListedKey[] = [];
  for (let after = ''; ; ) {
    const path = `/admin/clients?limit=100${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
    const page = (await call('GET', path)) as ListOf<Static<typeof Client>> & { last_id: string | null };
    for (const { id, name } of page.data) {
      const ofClient = (await call('GET', `/admin/clients/${id}/keys`)) as ListOf<Static<typeof Key>>;
      all.push(...ofClient.data.map((key) => ({ ...key, client_name: name })));
    }
    if (!page.has_more || page.last_id === null) return all;
    after = page.last_id;
  }
}

interface ListOf<Element> {
  data: Element[];
  has_more?: boolean;
}

function showNew(key: Static<typeof NewKey>, done: string, json: boolean): void {
  if (json) printJson(key);
  else process.stdout.write(`${key.key}\n`);
  const end = key.expires_at === null ? '' : `, and expires at ${key.expires_at}`;
  process.stderr.write(`${done}${end}; it is shown this once\n`);
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

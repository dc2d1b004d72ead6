/** `parley keys`: with the database to itself, and beside a running server. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { call } from './client.ts';
import {
  type EndedCommand,
  emptyDirectory,
  outputWith,
  type ParleyProcess,
  removeParley,
  runParley,
  startParleyIn,
} from './parley-process.ts';

const TOKEN = 'admin-token-1';
const ADMIN = { 'x-admin-token': TOKEN };

/** A directory, the command in it, and a server in it. */
async function place(context: TestContext, env: Record<string, string> = {}) {
  const directory = await emptyDirectory();
  context.after(() => rm(directory, { recursive: true, force: true }));
  const keys = (args: readonly string[], more: Record<string, string> = {}) =>
    runParley(directory, { ...env, ...more }, ['keys', ...args]);
  const start = async (more: Record<string, string> = {}): Promise<ParleyProcess> => {
    const parley = await startParleyIn(directory, { ...env, ...more });
    context.after(() => removeParley(parley));
    return parley;
  };
  return { directory, keys, start };
}

/** How the command reaches that server. */
const beside = (parley: ParleyProcess) => ({ PORT: new URL(parley.url).port, ADMIN_TOKEN: TOKEN });

const statusWith = async (parley: ParleyProcess, key: string) =>
  (await call(parley.url, 'GET', '/sessions', undefined, { authorization: `Bearer ${key}` })).status;

/** The key that the command has printed, which is all that it may have printed for programs. */
function keyOf({ code, stdout, output }: EndedCommand): string {
  assert.equal(code, 0, output);
  assert.match(stdout, /^pk_[0-9A-Za-z]{49}\n$/);
  assert.equal(output.split(stdout.trim()).length, 2, 'the key is shown once');
  return stdout.trim();
}

function auditLines(output: string): Record<string, unknown>[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('{"level"'))
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => msg === 'audit');
}

/** What every use of the command shares, whoever has the database. */
async function walk(keys: (args: readonly string[]) => Promise<EndedCommand>) {
  const options = ['--note', 'Till 1', '--expires', '90d', '--rps', '3', '--burst', '7'];
  const first = keyOf(await keys(['create', 'the shop', ...options]));
  const [listed, ...others] = JSON.parse((await keys(['list', '--json'])).stdout);
  assert.deepEqual(others, []);
  assert.deepEqual(
    [listed.client_name, listed.note, listed.prefix, listed.revoked_at],
    ['the shop', 'Till 1', first.slice(3, 11), null],
  );
  const days = (Date.parse(listed.expires_at) - Date.parse(listed.created_at)) / 86_400_000;
  assert.ok(days > 89.9 && days <= 90, `${days} days`);
  const table = (await keys(['list'])).stdout;
  assert.match(
    table,
    new RegExp(`^KEY .*\\n${listed.id}  pk_${listed.prefix}  the shop .* good .*Till 1\\n$`),
  );

  const made = await keys(['create', '--client', listed.client_id, '--json']);
  const second = JSON.parse(made.stdout);
  assert.deepEqual([made.code, second.client_id, second.expires_at], [0, listed.client_id, null]);
  const third = keyOf(await keys(['rotate', second.id, '--grace', '3600']));
  const revoked = await keys(['revoke', listed.id]);
  assert.deepEqual([revoked.code, revoked.stdout], [0, '']);

  const missing = await keys(['revoke', 'no-such-key']);
  assert.deepEqual([missing.code, missing.output], [1, 'parley keys: There is no such key.\n']);
  const nobody = await keys(['create', '--client', 'no-such-client']);
  assert.deepEqual([nobody.code, nobody.output], [1, 'parley keys: There is no such client.\n']);
  const wrong = await keys(['create', 'x', '--burst', '0']);
  assert.deepEqual([wrong.code, wrong.stdout], [64, '']);
  assert.match(wrong.output, /^parley keys: --burst must be >= 1\n/);
  return { first, second: second.key as string, third, clientId: listed.client_id as string };
}

const CHANGES = ['client.create', 'key.create', 'key.create', 'key.rotate', 'key.revoke'];

test('with the database to itself it makes keys that the next server knows', async (context) => {
  const { keys, start } = await place(context);
  const outputs: string[] = [];
  const made = await walk(async (args) => {
    const ended = await keys(args);
    outputs.push(ended.output);
    return ended;
  });
  // Each change is a line, and in the log of changes.
  const lines = auditLines(outputs.join(''));
  assert.deepEqual(
    lines.map(({ action }) => action),
    CHANGES,
  );
  for (const line of lines) assert.equal(JSON.stringify(line).includes(made.first.slice(12)), false);

  const parley = await start({ ADMIN_TOKEN: TOKEN });
  const statuses = [made.first, made.second, made.third].map((key) => statusWith(parley, key));
  assert.deepEqual(await Promise.all(statuses), [401, 200, 200]);
  const { body: clients } = await call(parley.url, 'GET', '/admin/clients', undefined, ADMIN);
  assert.deepEqual([clients.data.length, clients.data[0].id], [1, made.clientId]);
  assert.deepEqual([clients.data[0].limits.rps, clients.data[0].limits.burst], [3, 7]);
  const { body: audit } = await call(parley.url, 'GET', '/admin/audit?order=asc', undefined, ADMIN);
  assert.deepEqual(
    audit.data.map(({ id, action }: any) => ({ id, action })),
    lines.map(({ audit_id: id, action }) => ({ id, action })),
  );
});

test('beside a running server it asks that, and what it makes works at once', async (context) => {
  const { keys, start } = await place(context);
  const parley = await start({ ADMIN_TOKEN: TOKEN });
  const made = await walk((args) => keys(args, beside(parley)));
  const statuses = [made.first, made.second, made.third].map((key) => statusWith(parley, key));
  assert.deepEqual(await Promise.all(statuses), [401, 200, 200]);
  // The server writes the lines.
  await outputWith(parley, (output) => auditLines(output).length >= CHANGES.length);
  const lines = auditLines(parley.output());
  assert.deepEqual(
    lines.map(({ action }) => action),
    CHANGES,
  );
  for (const line of lines) assert.equal(typeof line['request_id'], 'string');
});

test('where a server cannot be asked it says what to do', async (context) => {
  const { keys, start } = await place(context);
  const parley = await start({ ADMIN_TOKEN: TOKEN });
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: new URL(parley.url).port }, /using data\/parley\.db.*ADMIN_TOKEN: set it for the server/],
    [{ ...beside(parley), ADMIN_TOKEN: 'another' }, /does not take this ADMIN_TOKEN/],
    [{ ...beside(parley), PORT: '0' }, /PORT=0 does not say where/],
    [{ ...beside(parley), PORT: '1' }, /none answers at http:\/\/127\.0\.0\.1:1: .*set PORT to/],
  ];
  for (const [env, expected] of cases) {
    const { code, output, stdout } = await keys(['create', 'shop'], env);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(output, expected);
    assert.match(output, /^parley keys: [^\n]*\n$/);
  }
});

test('it asks the port of the administration where there is one', async (context) => {
  const { keys, start } = await place(context);
  const parley = await start({ ADMIN_TOKEN: TOKEN, ADMIN_PORT: '0' });
  const isTold = /^ +admin +(\S+)\/docs$/m;
  await outputWith(parley, (output) => isTold.test(output));
  const { port } = new URL(isTold.exec(parley.output())?.[1] ?? '');
  const key = keyOf(await keys(['create', 'shop'], { ...beside(parley), ADMIN_PORT: port }));
  assert.equal(await statusWith(parley, key), 200);
});

test('keys in memory are made at the server, and nowhere without it', async (context) => {
  const { keys, start } = await place(context, { DATABASE_URL: 'memory:' });
  const refused = await keys(['create', 'shop'], { ADMIN_TOKEN: TOKEN, PORT: '1' });
  assert.deepEqual([refused.code, refused.stdout], [1, '']);
  assert.match(refused.output, /^parley keys: With DATABASE_URL=memory: [^\n]*none answers[^\n]*\n$/);
  const parley = await start({ ADMIN_TOKEN: TOKEN });
  const key = keyOf(await keys(['create', 'shop'], beside(parley)));
  assert.equal(await statusWith(parley, key), 200);
});

test('a database is made for a key, and not to find nothing in it', async (context) => {
  const { directory, keys } = await place(context);
  for (const args of [['list'], ['revoke', 'k'], ['rotate', 'k']]) {
    const { code, output } = await keys(args);
    assert.equal(code, 1);
    assert.match(output, /^parley keys: there is no database at data\/parley\.db \(DATABASE_URL\)\n$/);
  }
  assert.equal(existsSync(join(directory, 'data')), false);
  keyOf(await keys(['create', 'shop', '--expires', '2126-12-31']));
  const [{ expires_at: expiresAt }] = JSON.parse((await keys(['list', '--json'])).stdout);
  assert.equal(expiresAt, '2127-01-01T00:00:00.000Z');
});

test('its help says how it is used, and wrong uses and settings end it as those of the server do', async (context) => {
  const { keys, directory } = await place(context);
  for (const args of [['--help'], ['create', '--help']]) {
    const help = await keys(args);
    assert.equal(help.code, 0);
    assert.equal(help.stdout, help.output);
    for (const word of ['create', 'list', 'rotate', 'revoke', '--expires', '--grace', '--json']) {
      assert.ok(help.stdout.includes(word), word);
    }
  }
  const wrong = await keys(['dance']);
  assert.deepEqual([wrong.code, wrong.stdout], [64, '']);
  assert.match(wrong.output, /^parley keys: there is no "dance"\nparley keys --help shows the usage\n$/);
  const misconfigured = await keys(['list'], { LOG_LEVEL: 'loud' });
  assert.equal(misconfigured.code, 78);
  assert.match(misconfigured.output, /LOG_LEVEL \(environment\)/);
  const usage = await runParley(directory, {}, ['--help']);
  assert.match(usage.output, /^ {2}parley keys /m);
});

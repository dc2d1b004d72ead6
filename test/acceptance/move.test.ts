/** `parley export` and `parley import`: from one engine to the next and back, and what they refuse. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { findPostgres, startPostgres } from '../postgres-server.ts';
import { skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, send, stream } from './client.ts';
import { emptyDirectory, removeParley, runParley, startParleyIn } from './parley-process.ts';

const TOKEN = { 'x-admin-token': 'admin-token' };
const SETTINGS = { ADMIN_TOKEN: 'admin-token' };
const SECRET = 'pa$s-w0rd';

/** A directory with the command in it. */
async function place(context: TestContext) {
  const directory = await emptyDirectory();
  context.after(() => rm(directory, { recursive: true, force: true }));
  const parley = (...args: string[]) => runParley(directory, SETTINGS, args);
  const start = async (env: Record<string, string> = {}) => {
    const server = await startParleyIn(directory, { ...SETTINGS, ...env });
    context.after(() => removeParley(server));
    return server;
  };
  /** Its records, in an order that does not depend on the engine. */
  const recordsIn = async (file: string) => {
    const bytes = await readFile(join(directory, file));
    const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
    return text.split('\n').slice(1, -2).toSorted();
  };
  return { directory, parley, start, recordsIn };
}

/** A server that has held a conversation, with a key and a branch; stopped again. */
async function filled(at: Awaited<ReturnType<typeof place>>) {
  const server = await at.start();
  const { body: client } = await call(server.url, 'POST', '/admin/clients', { name: 'shop' }, TOKEN);
  const auth = { authorization: `Bearer ${client.key.key}` };
  const made = await call(server.url, 'POST', '/sessions', { metadata: { a: 'b' } }, auth);
  const session = made.body.id;
  const keyed = { ...auth, 'idempotency-key': 'once' };
  const first = await send(server.url, session, 'My name is Ada', {}, keyed);
  assert.equal(first.status, 200);
  await send(server.url, session, 'What is my name?', {}, auth);
  await send(server.url, session, 'Another branch', { parent_turn_id: first.body.turn_id }, auth);
  const messages = (await call(server.url, 'GET', `/sessions/${session}/messages`, undefined, auth)).body;
  assert.equal(await server.stop(), 0);
  return { session, auth, keyed, first, messages };
}

test('a conversation moves through every engine and goes on', {
  skip: skipWithoutRedis || (findPostgres() === undefined && 'there is no PostgreSQL on this machine'),
}, async (context) => {
  const at = await place(context);
  const { session, auth, keyed, first, messages } = await filled(at);
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  context.after(() => Promise.all([redis.stop(), postgres.stop()]));
  const stores = [
    'sqlite:data/parley.db',
    redis.url(),
    postgres.url().replace('parley@', `parley:${encodeURIComponent(SECRET)}@`),
    'sqlite:moved/parley.db',
  ];
  await at.parley('export', '--to', '0.jsonl');
  const records = await at.recordsIn('0.jsonl');
  assert.ok(records.some((line) => line.startsWith('{"turnKey"')));
  for (const [index, store] of stores.entries()) {
    if (index === 0) continue;
    const file = `${index}.jsonl${index === 2 ? '.gz' : ''}`;
    const before = `${index - 1}.jsonl${index === 3 ? '.gz' : ''}`;
    const imported = await at.parley('import', before, '--into', store);
    assert.deepEqual([imported.code, imported.stdout], [0, ''], imported.output);
    assert.match(
      imported.output,
      /^imported into \S+: 1 session, 3 turns, 1 request key of a turn, 1 client/m,
    );
    const exported = await at.parley('export', '--from', store, '--to', file);
    assert.deepEqual([exported.code, exported.stdout], [0, ''], exported.output);
    assert.match(exported.output, /^exported from \S+: 1 session, 3 turns/m);
    assert.ok(!(imported.output + exported.output).includes('pa$s'), 'no password is shown');
    assert.ok(!(imported.output + exported.output).includes('pa%24s'), 'no password is shown');
    assert.deepEqual(await at.recordsIn(file), records);
  }

  const server = await at.start({ DATABASE_URL: 'sqlite:moved/parley.db' });
  assert.equal((await call(server.url, 'GET', '/sessions')).status, 401, 'the keys are there');
  const path = `/sessions/${session}/messages`;
  assert.deepEqual((await call(server.url, 'GET', path, undefined, auth)).body, messages);
  const again = await send(server.url, session, 'My name is Ada', {}, keyed);
  assert.equal(again.headers.get('idempotent-replayed'), 'true');
  assert.deepEqual(again.body.turn_id, first.body.turn_id);
  assert.equal((await send(server.url, session, 'And on', {}, auth)).status, 200);
  const { body } = await call(server.url, 'GET', path, undefined, auth);
  assert.equal(body.data.length, messages.data.length + 2);
});

test('an export is for its owner alone, and takes the place of nothing', async (context) => {
  const at = await place(context);
  await filled(at);
  assert.equal((await at.parley('export', '--to', 'a.jsonl')).code, 0);
  assert.equal((await stat(join(at.directory, 'a.jsonl'))).mode & 0o777, 0o600);
  const again = await at.parley('export', '--to', 'a.jsonl');
  assert.deepEqual([again.code, again.output], [1, 'parley export: a.jsonl is there already\n']);
  const whole = (await readFile(join(at.directory, 'a.jsonl'), 'utf8')).split('\n');
  const { stdout } = await at.parley('export');
  assert.deepEqual(
    stdout.split('\n').slice(1, -2),
    whole.slice(1, -2),
    'standard output has the lines alone',
  );
});

test('by way of standard streams', async (context) => {
  const at = await place(context);
  await filled(at);
  const { stdout } = await at.parley('export');
  const command = resolve(import.meta.dirname, '../../src/cli/main.ts');
  const child = spawn(process.execPath, [command, 'import', '-', '--into', 'sqlite:b.db'], {
    cwd: at.directory,
    env: { ...process.env, ...SETTINGS },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.stdin.end(stdout);
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  const exported = await at.parley('export', '--from', 'sqlite:b.db');
  assert.deepEqual(exported.stdout.split('\n').slice(1, -2), stdout.split('\n').slice(1, -2));
});

test('a store in which there is something is added to only if that is wanted', async (context) => {
  const at = await place(context);
  const { session, auth } = await filled(at);
  await at.parley('export', '--to', 'a.jsonl');
  const refused = await at.parley('import', 'a.jsonl');
  assert.equal(refused.code, 1);
  assert.match(refused.output, /^parley import: data\/parley.db has 1 session already; --into-existing adds/);
  const server = await at.start();
  await send(server.url, session, 'Later than the export', {}, auth);
  const other = (await call(server.url, 'POST', '/sessions', {}, auth)).body.id;
  assert.equal(await server.stop(), 0);
  const added = await at.parley('import', 'a.jsonl', '--into-existing');
  assert.deepEqual([added.code, added.stdout], [0, ''], added.output);
  assert.match(added.output, /; 1 session was there already$/m);
  const back = await at.start();
  const { body } = await call(back.url, 'GET', `/sessions/${session}/turns`, undefined, auth);
  assert.equal(body.data.length, 4, 'what was said since is still there');
  assert.equal((await call(back.url, 'GET', `/sessions/${other}`, undefined, auth)).status, 200);
});

test('what is damaged is refused before anything is written', async (context) => {
  const at = await place(context);
  await filled(at);
  await at.parley('export', '--to', 'a.jsonl.gz');
  const bytes = await readFile(join(at.directory, 'a.jsonl.gz'));
  const text = gunzipSync(bytes).toString();
  const lines = text.split('\n');
  const files: Record<string, [string | Buffer, RegExp]> = {
    'cut.jsonl': [
      lines.slice(0, 4).join('\n'),
      /^parley import: line 4: the export breaks off in the middle/,
    ],
    'short.jsonl': [
      `${lines.slice(0, 4).join('\n')}\n`,
      /^parley import: line 5: the export breaks off here/,
    ],
    'changed.jsonl': [text.replace('My name is Ada', 'My name is Eve'), /a line of the export was changed/],
    'newer.jsonl': [
      text.replace('"version":1', '"version":9'),
      /^parley import: line 1: .* version 9, and this/,
    ],
    'other.jsonl': ['{"a":1}\n', /^parley import: line 1: this is no export of Parley$/m],
    'cut.jsonl.gz': [bytes.subarray(0, -30), /cut.jsonl.gz is no whole gzip file/],
  };
  for (const [file, [content, message]] of Object.entries(files)) {
    await writeFile(join(at.directory, file), content);
    const refused = await at.parley('import', file, '--into', 'sqlite:new/parley.db');
    assert.deepEqual([refused.code, refused.stdout], [65, ''], refused.output);
    assert.match(refused.output, message);
    await assert.rejects(stat(join(at.directory, 'new')), { code: 'ENOENT' });
  }
});

test('a database that a server is using is left alone, and what is wrong is said', async (context) => {
  const at = await place(context);
  const server = await at.start();
  const session = await newSession(server.url);
  assert.equal((await stream(server.url, session, 'Hello')).status, 200);
  await writeFile(join(at.directory, 'a.jsonl'), '');
  for (const [args, code, message] of [
    [['export'], 1, /^parley export: a server is using data\/parley.db: stop it first\n$/],
    [['export', '--from', 'sqlite:none.db'], 1, /^parley export: there is no database at none.db\n$/],
    [['export', '--from', 'memory:'], 1, /^parley export: memory: is in the memory of a server/],
    [['export', '--from', `mysql://u:${SECRET}@h/d`], 1, /^parley export: "mysql:..." names no store/],
    [['export', 'a.jsonl'], 64, /export takes options alone: --to a.jsonl\nparley export --help shows/],
    [['export', '--into', 'x'], 64, /^parley export: Unknown option '--into'\n/],
    [['import'], 64, /^parley import: import takes one FILE, or - for standard input\n/],
    [['import', 'none.jsonl'], 1, /^parley import: there is no file none.jsonl\n$/],
    [['import', 'a.jsonl', '--into', ''], 64, /--into is empty/],
  ] as const) {
    const ended = await at.parley(...args);
    assert.deepEqual([ended.code, ended.stdout], [code, ''], ended.output);
    assert.match(ended.output, message);
    assert.ok(!ended.output.includes(SECRET));
  }
  for (const name of ['export', 'import']) {
    const help = await at.parley(name, '--help');
    assert.deepEqual([help.code, help.stdout === help.output], [0, true]);
    assert.match(help.stdout, new RegExp(`^parley ${name}: `));
  }
});

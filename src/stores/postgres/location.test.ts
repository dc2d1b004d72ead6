import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePostgresLocation } from './location.ts';

const SETTINGS = '-c jit=off -c default_transaction_isolation=read\\ committed';

test("Parley's own parameters are taken out, and the driver's left in", () => {
  const bare = 'postgres://u:p@h:5433/d';
  assert.deepEqual(parsePostgresLocation(bare), {
    connectionString: bare,
    schema: 'parley',
    connections: 10,
    isDirect: true,
    options: SETTINGS,
  });
  assert.equal(parsePostgresLocation(`${bare}?options=-c%20jit%3Don`).options, `${SETTINGS} -c jit=on`);
  const full = 'postgresql://h/d?schema=chat_2&sslmode=verify-full&connections=3&prepare=false';
  assert.deepEqual(parsePostgresLocation(full), {
    connectionString: 'postgresql://h/d?sslmode=verify-full',
    schema: 'chat_2',
    connections: 3,
    isDirect: false,
    options: undefined,
  });
  assert.equal(parsePostgresLocation(`${full}&options=-c%20jit%3Don`).options, '-c jit=on');
});

test('whoever asks for encryption gets all of its checks, unless without them', () => {
  const modes = { 'verify-full': '', 'verify-ca': 'verify-full', require: 'verify-full' };
  for (const [given, told] of Object.entries({ ...modes, 'no-verify': '', disable: '' })) {
    const { connectionString } = parsePostgresLocation(`postgres://h/d?sslmode=${given}&sslrootcert=a`);
    assert.equal(connectionString, `postgres://h/d?sslmode=${told || given}&sslrootcert=a`);
  }
});

test('what is wrong is named, and the location not repeated', () => {
  const wrong: [string, RegExp][] = [
    ['mysql://u:secret@h/d', /no URL of a PostgreSQL/],
    ['postgres://u:secret@h:port/d', /no URL of a PostgreSQL/],
    ['postgres://u:secret@h/d?schema=', /"schema"/],
    ['postgres://u:secret@h/d?schema=Chat', /"schema"/],
    ['postgres://u:secret@h/d?schema=a";--', /"schema"/],
    ['postgres://u:secret@h/d?schema=pg_x', /"schema"/],
    ['postgres://u:secret@h/d?connections=0', /"connections"/],
    ['postgres://u:secret@h/d?connections=many', /"connections"/],
    ['postgres://u:secret@h/d?prepare=no', /"prepare"/],
    ['postgres://u:secret@h/d?sslmode=prefer', /"sslmode" must be one of disable, no-verify, require/],
    ['postgres://u:secret@h/d?sslmode=', /"sslmode"/],
  ];
  for (const [location, message] of wrong) {
    assert.throws(
      () => parsePostgresLocation(location),
      (error: Error) => message.test(error.message) && !/secret/.test(error.message),
      location,
    );
  }
});

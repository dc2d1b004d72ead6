import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRedisLocation, type RedisLocation } from './location.ts';

const PLAIN: RedisLocation = {
  kind: 'server',
  nodes: [{ host: 'cache', port: 6379 }],
  encrypted: false,
  username: undefined,
  password: undefined,
  database: 0,
  master: '',
  prefix: 'parley:',
};

const good: readonly [string, Partial<RedisLocation>][] = [
  ['redis://cache', {}],
  ['redis://cache/', {}],
  ['redis://cache:6380/3', { nodes: [{ host: 'cache', port: 6380 }], database: 3 }],
  ['rediss://[::1]:1', { nodes: [{ host: '::1', port: 1 }], encrypted: true }],
  ['redis://:p%40s%3As@cache', { password: 'p@s:s' }],
  ['redis://me:secret@cache', { username: 'me', password: 'secret' }],
  ['redis://me@cache', { username: 'me' }],
  ['redis://cache?prefix=chat%3A', { prefix: 'chat:' }],
  [
    'redis://a,b:7001?cluster',
    {
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 6379 },
        { host: 'b', port: 7001 },
      ],
    },
  ],
  [
    'redis://a,b:7001/2?sentinel=main',
    {
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 7001 },
      ],
      database: 2,
      master: 'main',
    },
  ],
];
for (const [text, difference] of good) {
  test(`${text} is understood`, () => {
    assert.deepEqual(parseRedisLocation(text), { ...PLAIN, ...difference });
  });
}

const bad: readonly [string, RegExp][] = [
  ['redis://:hunter2@', /must be redis:/],
  ['redis://:hunt/er2@cache', /must be redis:/],
  ['redis://:hunter2%@cache', /percent-encoded/],
  ['redis://:hunter2@cache/db', /must be redis:/],
  ['redis://:hunter2@cache:0', /host:port/],
  ['redis://:hunter2@cache:70000', /host:port/],
  ['redis://:hunter2@a,b', /cluster/],
  ['redis://:hunter2@a/1?cluster', /database 0/],
  ['redis://:hunter2@a?sentinel=', /name of the master/],
  ['redis://:hunter2@a?sentinel=m&cluster', /exclude/],
  ['redis://:hunter2@a?prefix={x}', /braces/],
  ['redis://:hunter2@a?cert=x', /not "cert"/],
];
for (const [text, reason] of bad) {
  test(`${text} is refused, without what may be secret`, () => {
    assert.throws(
      () => parseRedisLocation(text),
      ({ message }: Error) => reason.test(message) && !/hunt/.test(message),
    );
  });
}

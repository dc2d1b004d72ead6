import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as kinds from './setting.ts';

const bounds = { min: 1, max: 10, default: 5, description: '' };
const none = { default: null, description: '' };

/** Per kind: the setting, texts with their values, texts that are refused. */
const cases: [string, kinds.Setting<kinds.SettingValue>, [string, unknown][], string[]][] = [
  [
    'integer',
    kinds.integer(bounds),
    [
      ['1', 1],
      ['10', 10],
      ['+7', 7],
      ['007', 7],
    ],
    ['0', '11', '-1', '2.5', '1e1', '0x5', '5s', 'five', '1_0', 'NaN', '9'.repeat(400)],
  ],
  [
    'number',
    kinds.number(bounds),
    [
      ['1', 1],
      ['2.5', 2.5],
      ['10.0', 10],
    ],
    ['0.999', '10.001', '-2', '1,5', '.5', '5.', '1e1', 'Infinity', '5 s'],
  ],
  [
    'boolean',
    kinds.boolean({ default: false, description: '' }),
    [
      ['true', true],
      ['FALSE', false],
      ['1', true],
      ['0', false],
    ],
    ['yes', 'on', '2', 'tru', 'null'],
  ],
  [
    'choice',
    kinds.choice({ options: ['info', 'warn'], default: 'info', description: '' }),
    [['WARN', 'warn']],
    ['verbose', 'in'],
  ],
  ['text', kinds.text(none), [['naïve 日本', 'naïve 日本']], ['two\nlines', 'nul\0']],
  ['headerText', kinds.headerText(none), [['Café, 1', 'Café, 1']], ['日本', 'a\r\nX-Evil: 1']],
  ['secret', kinds.secret(none), [['sk-1', 'sk-1']], ['sk-1\nX-Evil: 1', 'sk–dash']],
  [
    'apiKeys',
    kinds.apiKeys({ default: [], description: '' }),
    [
      ['app:k1', ['app:k1']],
      [' app:k1 , web:a:b=', ['app:k1', 'web:a:b=']],
    ],
    ['app', 'app:', ':key', 'app:k,', 'app:k 1', 'app:k1,app:k2', 'app:k1,web:k1', 'Ä:k'],
  ],
  [
    'headerPairs',
    kinds.headerPairs({ default: [], description: '' }),
    [
      ['api-key=k', ['api-key=k']],
      [' Authorization = Basic%20dTpw%3D%3D , x-team=a=b', ['Authorization=Basic dTpw==', 'x-team=a=b']],
      ['x-empty=', ['x-empty=']],
    ],
    ['', 'api-key', '=k', 'a b=k', 'a=1,A=2', 'a=1,', 'a=%', 'a=%0a', 'a=%E2%82%AC'],
  ],
  [
    'proxies',
    kinds.proxies(none),
    [
      ['0', '0'],
      ['2', '2'],
      ['10.0.0.0/8, ::1', '10.0.0.0/8, ::1'],
    ],
    ['33', '-1', 'true', '10.0.0.0/33', '::1/129', '10.0.0', 'loopback', '1.2.3.4/8/8', '10.0.0.0/'],
  ],
  [
    'url',
    kinds.url(none),
    [
      ['https://api.example/v1', 'https://api.example/v1'],
      ['http://[::1]:8080', 'http://[::1]:8080'],
      ['HTTP://user:secret@host/', 'HTTP://user:secret@host/'],
    ],
    [
      'api.example/v1',
      'ftp://host',
      'https://',
      'http://a b',
      'https:user:p@h',
      'http://h/v1?x=1',
      'http://h#x',
      '//h',
    ],
  ],
  [
    'redisUrl',
    kinds.redisUrl({ default: null, description: '' }),
    [
      ['redis://cache', 'redis://cache'],
      ['rediss://me:p%40ss@[::1]:6380/2?prefix=chat:', 'rediss://me:p%40ss@[::1]:6380/2?prefix=chat:'],
      ['redis://a:7000,b:7001?cluster', 'redis://a:7000,b:7001?cluster'],
    ],
    ['redis:', 'redis://', 'redis:///1', 'redis://a b', 'http://cache', 'cache:6379', 'sqlite:x', 'memory:'],
  ],
  [
    'databaseUrl',
    kinds.databaseUrl({ default: 'memory:', description: '' }),
    [
      ['memory:', 'memory:'],
      ['sqlite:data/a b.db', 'sqlite:data/a b.db'],
      ['sqlite:/srv/parley.db', 'sqlite:/srv/parley.db'],
      ['redis://cache', 'redis://cache'],
      ['rediss://me:p%40ss@[::1]:6380/2?prefix=chat:', 'rediss://me:p%40ss@[::1]:6380/2?prefix=chat:'],
      ['redis://a:7000,b:7001?cluster', 'redis://a:7000,b:7001?cluster'],
      ['postgres://h/d', 'postgres://h/d'],
      ['postgresql://u:p%40@[::1]:5433/d?schema=s', 'postgresql://u:p%40@[::1]:5433/d?schema=s'],
      ['postgres:///d?host=/run/postgresql', 'postgres:///d?host=/run/postgresql'],
    ],
    [
      'redis:',
      'redis://',
      'redis:///1',
      'redis://a b',
      'redis:cache:6379',
      'memory',
      'memory:x',
      'sqlite:',
      'sqlite://data/parley.db',
      'sqlite::memory:',
      'postgres:',
      'postgres://',
      'postgres:h/d',
      'postgres://h/d e',
      'postgres://h:port/d',
      'postgres://u@h/d?password=p',
      'data/parley.db',
    ],
  ],
  [
    'host',
    kinds.host({ default: '127.0.0.1', description: '' }),
    [
      ['::1', '::1'],
      ['0.0.0.0', '0.0.0.0'],
      ['parley.internal', 'parley.internal'],
    ],
    ['[::1]', 'http://localhost', 'localhost:80', 'a b', '-x'],
  ],
  [
    'origins',
    kinds.origins({ default: [], description: '' }),
    [
      ['*', ['*']],
      ['https://app.example.com', ['https://app.example.com']],
      [
        'HTTPS://App.Example.com:443/ , http://localhost:3000',
        ['https://app.example.com', 'http://localhost:3000'],
      ],
      ['http://[::1]:3000,http://[::1]:3000', ['http://[::1]:3000']],
      ['tauri://localhost, capacitor://localhost', ['tauri://localhost', 'capacitor://localhost']],
    ],
    [
      'null',
      '*, https://a.example',
      'https://*.example.com',
      'app.example.com',
      'https://a.example/path',
      'https://a.example?x',
      'https://user@a.example',
      'https://a.example https://b.example',
      'https://a.example,',
      'https://',
    ],
  ],
  ['name', kinds.name(none), [['Local-2_b', 'local-2_b']], ['-x', '_x', 'a b', 'a/b', 'ä']],
  [
    'names',
    kinds.names({ default: [], description: '' }),
    [
      [' B, a ,b,,', ['b', 'a']],
      [',', []],
    ],
    ['a;b', 'a, b c'],
  ],
];

describe('the kinds of settings', () => {
  for (const [kind, setting, accepted, refused] of cases) {
    it(`${kind} takes what it should`, () => {
      for (const [text, value] of accepted) assert.deepEqual(setting.parse(text), value, text);
    });
    it(`${kind} refuses the rest`, () => {
      for (const text of refused) assert.equal(setting.parse(text), undefined, text);
    });
  }
});

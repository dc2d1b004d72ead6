import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadTexts, problemOf, problemsOf } from '../../test/load-texts.ts';

const URL_ENTRY = 'name: remote, url: "https://h/mcp"';
const withUrl = (fields: string) => `mcp_servers: [{${URL_ENTRY}, ${fields}}]`;
const withProgram = (fields: string) => `mcp_servers: [{name: files, command: /bin/mcp, ${fields}}]`;
const oauth = (fields: string) => withUrl(`oauth: {client_id: c, issuer: "https://i", ${fields}}`);

const PEM = '-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n';

const defaults = {
  tools: { allow: null, deny: [] },
  timeoutSeconds: 60,
  maxConcurrent: 10,
  instructions: false,
  eager: false,
  trust: false,
  requireApproval: [],
  sampling: false,
  roots: [],
  chat: null,
};

describe('the servers with tools', () => {
  it('have each field in its place', () => {
    const yaml = `
mcp_servers:
  - name: " Files "
    command: npx
    args: [-y, server, "\${ROOT}"]
    env: {PATH: "\${PATH}", TOKEN: t}
    tools: {allow: ["read_*"], deny: [read_secrets]}
    timeout_seconds: 2.5
    max_concurrent: 1
    instructions: true
    eager: true
    trust: true
    require_approval: ["write_*"]
    sampling: true
    roots: [/srv/work, "file:///srv/more%20work"]
    chat: {tool: answer, context_tokens: 32000}
  - {name: remote, url: "https://h/mcp?v=1", headers: {X-Team: a}, api_key: "\${KEY}", require_approval: true}
  - {name: plain, url: "http://127.0.0.1:3000/mcp", tools: {}, api_key: "", args: }`;
    const { mcpServers } = loadTexts({ yaml, env: { ROOT: '/data', PATH: '/bin', KEY: 'k' } });
    const remote = { kind: 'http', headers: {}, apiKey: null, oauth: null };
    assert.deepEqual(mcpServers, [
      {
        name: 'files',
        reach: {
          kind: 'program',
          command: 'npx',
          args: ['-y', 'server', '/data'],
          env: { PATH: '/bin', TOKEN: 't' },
        },
        tools: { allow: ['read_*'], deny: ['read_secrets'] },
        timeoutSeconds: 2.5,
        maxConcurrent: 1,
        instructions: true,
        eager: true,
        trust: true,
        requireApproval: ['write_*'],
        sampling: true,
        roots: ['/srv/work', 'file:///srv/more%20work'],
        chat: { tool: 'answer', contextTokens: 32_000 },
      },
      {
        ...defaults,
        name: 'remote',
        reach: { ...remote, url: 'https://h/mcp?v=1', headers: { 'X-Team': 'a' }, apiKey: 'k' },
        requireApproval: ['*'],
      },
      { ...defaults, name: 'plain', reach: { ...remote, url: 'http://127.0.0.1:3000/mcp' } },
    ]);
  });

  it('have credentials of both kinds', () => {
    const yaml = `
mcp_servers:
  - {name: a, url: "https://h", oauth: {client_id: c, client_secret: "\${S}", issuer: "https://i/x", scope: a b}}
  - {name: b, url: "https://h", oauth: {client_id: c, private_key: "\${P}", issuer: "https://i"}}
  - {name: c, url: "https://h", oauth: {client_id: c, private_key: "\${P}", issuer: "https://i", algorithm: RS256}}`;
    const { mcpServers } = loadTexts({ yaml, env: { S: 's', P: PEM } });
    const given = mcpServers.map(({ reach }) => (reach.kind === 'http' ? reach.oauth : null));
    const pem = PEM.trim();
    assert.deepEqual(given, [
      { clientId: 'c', proof: { kind: 'secret', secret: 's' }, issuer: 'https://i/x', scope: 'a b' },
      {
        clientId: 'c',
        proof: { kind: 'private-key', pem, algorithm: 'ES256' },
        issuer: 'https://i',
        scope: null,
      },
      {
        clientId: 'c',
        proof: { kind: 'private-key', pem, algorithm: 'RS256' },
        issuer: 'https://i',
        scope: null,
      },
    ]);
  });

  it('begin with the one of MCP_SERVER_URL', () => {
    const env = { MCP_SERVER_URL: 'http://h/mcp', MCP_API_KEY: 'k' };
    const { mcpServers } = loadTexts({ env, yaml: withUrl('') });
    const reach = { kind: 'http', url: 'http://h/mcp', headers: {}, apiKey: 'k', oauth: null };
    assert.deepEqual(mcpServers[0], { ...defaults, name: 'mcp', reach });
    assert.deepEqual(
      mcpServers.map(({ name }) => name),
      ['mcp', 'remote'],
    );
    assert.deepEqual(loadTexts({}).mcpServers, []);
  });

  const wrong: [string, RegExp][] = [
    ['mcp_servers: files', /^mcp_servers \(parley\.yaml\): must be a list$/],
    ['mcp_servers: [files]', /^mcp_servers\[0\] \(.*must be object$/],
    ['mcp_servers: [{url: "http://h"}]', /^mcp_servers\[0\]\.name \(.*is missing$/],
    ['mcp_servers: [{name: a.b, url: "http://h"}]', /name \(.*must be a letter or digit, then/],
    ['mcp_servers: [{name: None, url: "http://h"}]', /name \(.*is the word for no server$/],
    ['mcp_servers: [{name: a}]', /^mcp_servers\[0\] \(.*needs a url or a command$/],
    [withUrl('command: /bin/a'), /^mcp_servers\[0\] \(.*has a url and a command; a server has one of them$/],
    ['mcp_servers: [{name: a, url: "ftp://h"}]', /url \(.*must be an http or https URL without user/],
    ['mcp_servers: [{name: a, url: "http://u:p@h"}]', /url \(.*must be an http or https URL without user/],
    ['mcp_servers: [{name: a, url: "http://h/#x"}]', /url \(.*must be an http or https URL without user/],
    [withUrl('arg: [a]'), /arg \(.*is not a field of a server; did you mean "args"\?$/],
    [withUrl('args: [a]'), /args \(.*is for a program, and this server has a url$/],
    [withUrl('env: {A: b}'), /env \(.*is for a program, and this server has a url$/],
    [withUrl('headers: {"a b": c}'), /headers \(.*HTTP headers' names/],
    [withUrl('headers: {X-A: "a\\r\\nX-B: c"}'), /headers\.X-A \(.*must be text that fits/],
    [withUrl('api_key: "a\\nb"'), /api_key \(.*must be text that fits an HTTP header/],
    [
      withUrl('api_key: k, headers: {authorization: x}'),
      /sends Authorization twice, by api_key and a header$/,
    ],
    [withUrl('tools: [a]'), /tools \(.*must be object$/],
    [withUrl('tools: {allow: a}'), /tools\.allow \(.*must be array$/],
    [withUrl('tools: {allow: [1]}'), /tools\.allow\[0\] \(.*must be string$/],
    [withUrl('tools: {alow: [a]}'), /tools\.alow \(.*is not a field of "tools"; did you mean "allow"\?$/],
    [withUrl('timeout_seconds: 0'), /timeout_seconds \(.*must be > 0$/],
    [withUrl('max_concurrent: 0'), /max_concurrent \(.*must be >= 1$/],
    [withUrl('eager: "yes"'), /eager \(.*must be boolean$/],
    [withUrl('roots: [work]'), /roots\[0\] \(.*must be an absolute path or a file: URI$/],
    [withUrl('roots: ["https://h/"]'), /roots\[0\] \(.*must be an absolute path or a file: URI$/],
    [withUrl('sampling: some'), /sampling \(/],
    [withUrl('require_approval: some'), /require_approval \(.*must be true, false or a list of patterns$/],
    [withUrl('require_approval: [""]'), /require_approval \(.*must be true, false or a list of patterns$/],
    [withUrl('chat: true'), /chat \(.*must be object$/],
    [withUrl('chat: {tool: ""}'), /chat\.tool \(.*must not have fewer than 1 characters$/],
    [withUrl('chat: {context_tokens: 0}'), /chat\.context_tokens \(.*must be >= 1$/],
    [withUrl('chat: {tools: a}'), /chat\.tools \(.*is not a field of "chat"; did you mean "tool"\?$/],
    [withUrl('oauth: {client_id: c, client_secret: s}'), /oauth\.issuer \(.*is missing$/],
    [oauth('client_secret: s, secret: t'), /oauth\.secret \(.*is not a field of "oauth"/],
    [oauth(''), /oauth \(.*needs either client_secret or private_key$/],
    [oauth('private_key: abc'), /oauth\.private_key \(.*must be a private key in PEM/],
    [oauth('client_secret: s, algorithm: none'), /oauth\.algorithm \(.*must be one of ES256/],
    [withProgram('headers: {A: b}'), /headers \(.*is for a server with a url, and this one is a program$/],
    [withProgram('api_key: k'), /api_key \(.*is for a server with a url, and this one is a program$/],
    [withProgram('env: {"A-B": c}'), /env \(.*must have variables' names/],
    [withProgram('env: {A: 1}'), /env\.A \(.*must be string$/],
    ['mcp_servers: [{name: a, command: npx}]', /command \(.*is looked for in the PATH that env has/],
    [withUrl('api_key: "${NOPE}"'), /api_key \(.*needs the variable NOPE, which is not set$/],
  ];
  for (const [yaml, expected] of wrong) {
    it(`refuse ${yaml}`, () => assert.match(problemOf({ yaml }), expected));
  }

  it('that are providers have names of their own', () => {
    const server = (name: string) => `mcp_servers: [{name: ${name}, url: "http://h", chat: {}}]`;
    const taken = /^mcp_servers\[0\]\.name \(.*is another provider's name, and chat makes it one as well$/;
    for (const name of ['openai', 'demo', 'default']) assert.match(problemOf({ yaml: server(name) }), taken);
    const others = 'providers: [{name: a, base_url: "http://h"}]';
    assert.match(problemOf({ yaml: `${others}\n${server('A')}` }), taken);
    assert.doesNotThrow(() => loadTexts({ yaml: `${others}\n${server('b')}` }));
    assert.doesNotThrow(() => loadTexts({ yaml: 'mcp_servers: [{name: openai, url: "http://h"}]' }));
  });

  it('have a name each, whatever its case', () => {
    const yaml = 'mcp_servers: [{name: a, url: "http://h"}, {name: A, url: "http://h"}]';
    assert.match(problemOf({ yaml }), /^mcp_servers\[1\]\.name \(.*"a" is the name of an entry before$/);
    const taken = 'mcp_servers: [{name: mcp, url: "http://h"}]';
    assert.equal(loadTexts({ yaml: taken }).mcpServers.length, 1);
    const problem = problemOf({ yaml: taken, env: { MCP_SERVER_URL: 'http://h' } });
    assert.match(problem, /"mcp" is what the server of MCP_SERVER_URL is called$/);
  });

  it('take variables that are right alone', () => {
    assert.match(
      problemOf({ env: { MCP_API_KEY: 'k' } }),
      /^MCP_API_KEY \(environment\): is the key for MCP_SERVER_URL/,
    );
    for (const url of ['h', 'ftp://h', 'http://u:p@h', 'http://h#x']) {
      const problem = problemOf({ env: { MCP_SERVER_URL: url, MCP_API_KEY: 'k' } });
      assert.match(problem, /^MCP_SERVER_URL \(environment\): must be an http or https URL without user/);
    }
  });

  it('tell all that is wrong at once, and no secret', () => {
    const yaml = `
mcp_servers:
  - {name: a, url: "http://me:hunter2@h", api_key: "a\\nhunter2", headers: {X-A: "a\\nhunter2"}, x: hunter2}
  - {name: b, command: /bin/b, args: hunter2, env: {"A B": hunter2}, oauth: {client_secret: hunter2}}`;
    const problems = problemsOf({ yaml });
    assert.deepEqual(
      problems.map(({ setting }) => setting).sort((one, other) => one.localeCompare(other)),
      [
        'mcp_servers[0].api_key',
        'mcp_servers[0].headers.X-A',
        'mcp_servers[0].url',
        'mcp_servers[0].x',
        'mcp_servers[1].args',
        'mcp_servers[1].env',
        'mcp_servers[1].oauth.client_id',
        'mcp_servers[1].oauth.issuer',
      ],
    );
    assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
  });

  it('survive aliases that make the YAML circular', () => {
    const yaml = 'mcp_servers: &list [{name: a, url: "http://h", args: *list, oauth: &o {client_id: *o}}]';
    assert.ok(problemsOf({ yaml }).length > 0);
  });
});

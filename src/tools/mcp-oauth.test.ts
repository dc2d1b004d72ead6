/** Tokens by client credentials: who is asked for them, and who is not. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { it, type TestContext } from 'node:test';
import { type McpDouble, startMcpDouble } from '../../test/mcp-double.ts';
import { httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { createMcpSource } from './mcp.ts';
import { rejects } from './tool-source.contract.ts';
import type { ToolSource } from './tool-source.ts';

interface Issuer {
  readonly url: string;
  /** What it was asked for tokens with. */
  readonly asked: { authorization: string | undefined; body: URLSearchParams }[];
}

/** An authorization server that gives out `token-1`, `token-2`, … */
async function startIssuer(t: TestContext): Promise<Issuer> {
  const asked: Issuer['asked'] = [];
  const server = createServer((request, response) => {
    const answer = (body: unknown) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.url !== '/token') {
      return answer({
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        response_types_supported: ['code'],
        grant_types_supported: ['client_credentials'],
        token_endpoint_auth_methods_supported: ['client_secret_basic'],
      });
    }
    text(request).then(
      (body) => {
        asked.push({ authorization: request.headers.authorization, body: new URLSearchParams(body) });
        answer({ access_token: `token-${asked.length}`, token_type: 'Bearer', expires_in: 3600 });
      },
      () => response.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked };
}

interface Bench {
  double: McpDouble;
  source: ToolSource;
  issuer: Issuer;
  /** The only token that the server takes from now on. */
  take(token: string): void;
}

/** A server that wants tokens of one issuer, and a source whose credentials may be another's. */
async function bench(t: TestContext, credentialsOf?: string): Promise<Bench> {
  const issuer = await startIssuer(t);
  const double = await startMcpDouble('stateless');
  const resource = new URL(double.url);
  const metadata = `/.well-known/oauth-protected-resource${resource.pathname}`;
  let wanted = 'token-1';
  double.intercept = ({ line, headers }, response) => {
    if (line === `GET ${metadata}`) {
      const body = { resource: double.url, authorization_servers: [issuer.url] };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      return true;
    }
    if (headers.authorization === `Bearer ${wanted}`) return false;
    const challenge = `Bearer resource_metadata="${resource.origin}${metadata}"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
    return true;
  };
  const proof = { kind: 'secret' as const, secret: 'hunter2' };
  const oauth = { clientId: 'parley', proof, issuer: credentialsOf ?? issuer.url, scope: 'read write' };
  const source = createMcpSource({
    settings: serverSettings(httpReach(double.url, { oauth })),
    version: '0.0.0',
    bounds: testBounds(),
  });
  t.after(async () => {
    await source.close();
    await double.close();
  });
  const take = (token: string) => {
    wanted = token;
  };
  return { double, source, issuer, take };
}

it('a token is asked for once, with the credentials, and again when it is no longer taken', async (t) => {
  const { source, issuer, take } = await bench(t);
  assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
  assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
  assert.equal(issuer.asked.length, 1);
  const [{ authorization, body } = { authorization: '', body: new URLSearchParams() }] = issuer.asked;
  assert.equal(authorization, `Basic ${Buffer.from('parley:hunter2').toString('base64')}`);
  assert.equal(body.get('grant_type'), 'client_credentials');
  assert.equal(body.get('scope'), 'read write');
  take('token-2');
  assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
  assert.equal(issuer.asked.length, 2);
});

it('a token that is not taken is an answer, and not asked for without end', async (t) => {
  const { source, issuer, take } = await bench(t);
  take('another');
  await rejects(source.call('echo', { text: 'x' }), 'unauthorized', false);
  assert.ok(issuer.asked.length <= 2);
});

it('the credentials go to their issuer alone, whichever the server names', async (t) => {
  const { source, issuer, double } = await bench(t, 'https://login.example.com');
  const refused = await rejects(source.call('echo', { text: 'x' }), 'unauthorized', false);
  assert.deepEqual(issuer.asked, []);
  const sent = double.requests.map(({ headers, body }) => `${JSON.stringify(headers)} ${body}`).join();
  assert.doesNotMatch(sent, /hunter2|cGFybGV5Omh1bnRlcjI/);
  assert.doesNotMatch(`${refused.message} ${JSON.stringify(refused)}`, /hunter2/);
});

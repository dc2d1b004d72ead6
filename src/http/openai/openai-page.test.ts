import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { AppError } from '../../errors.ts';
import { CHAT_FIELDS, chatRequest } from './chat-request.ts';
import { CONVERSATION_FIELDS } from './conversations.ts';
import { COMPACT_FIELDS, INPUT_TOKENS_FIELDS, RESPONSE_FIELDS, responseRequest } from './response-request.ts';

const page = readFileSync(new URL('../../../docs/openai.md', import.meta.url), 'utf8');
const rows = fieldsOf('POST /v1/responses');

/** The rows of the table under that mark. */
function fieldsOf(endpoint: string): { name: string; what: string }[] {
  const [, table = ''] = page.split(`<!-- fields of ${endpoint} -->\n\n`);
  const lines = table.slice(0, table.indexOf('\n\n'));
  return [...lines.matchAll(/^\| `(\w+)` \| ([a-z ]+) \|/gm)].map(([, name = '', what = '']) => ({
    name,
    what,
  }));
}

describe('the table of fields of responses in docs/openai.md', () => {
  it('has all that is read of a request', () => {
    const names = rows.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const name of RESPONSE_FIELDS) assert.ok(names.includes(name), name);
    for (const { name, what } of rows) {
      const isRead = RESPONSE_FIELDS.some((field) => field === name);
      if (what !== 'refused') assert.ok(isRead, name);
    }
  });

  it('says of a field that is refused what happens to it', () => {
    const refused = rows.filter(({ what }) => what === 'refused');
    assert.ok(refused.length > 3);
    for (const { name } of refused) {
      assert.throws(
        () => responseRequest({ input: 'x', [name]: 1 }),
        (error: unknown) =>
          error instanceof AppError &&
          error.code === 'unsupported_parameter' &&
          error.details?.['param'] === name,
        name,
      );
    }
  });

  it('says of a field that is passed through that the provider is told', () => {
    const values: Record<string, unknown> = {
      text: { verbosity: 'low' },
      reasoning: { effort: 'low' },
      max_output_tokens: 5,
      parallel_tool_calls: false,
      prompt_cache_retention: '24h',
      service_tier: 'flex',
      safety_identifier: 's',
      prompt_cache_key: 'k',
      user: 'u',
    };
    for (const { name } of rows.filter(({ what }) => what === 'passed through')) {
      const given = { [name]: values[name] ?? 0.5 };
      const tools = name === 'parallel_tool_calls' ? { tools: [{ type: 'function', name: 'f' }] } : {};
      const { options } = responseRequest({ input: 'x', ...tools, ...given });
      const told = Object.keys(options).filter((option) => option !== 'tools');
      assert.equal(told.length, 1, name);
    }
  });
});

describe('the table of fields of chat completions in docs/openai.md', () => {
  const fields = fieldsOf('POST /v1/chat/completions');
  const names = fields.map(({ name }) => name);
  const read = (more: object) =>
    chatRequest({ messages: [{ role: 'user', content: 'x' }], ...more }, undefined);

  it('has all that is read of a request', () => {
    assert.equal(new Set(names).size, names.length);
    for (const name of CHAT_FIELDS) assert.ok(names.includes(name), name);
  });

  it('refuses nothing, but for several answers where one is stored', () => {
    assert.ok(fields.every(({ what }) => what === 'supported' || what === 'passed through'));
    assert.deepEqual(read({ n: 2 }).options, { n: 2 });
    for (const stored of [{ store: true }, { session_id: 's' }]) {
      assert.throws(() => read({ n: 2, ...stored }), { code: 'unsupported_parameter' });
    }
  });

  it('passes on what it does not name', () => {
    const others = {
      temperature: 0,
      tools: [],
      response_format: { type: 'text' },
      not_known_yet: { a: [1] },
    };
    assert.deepEqual(read({ ...others, model: 'm', stream: true }).options, others);
  });
});

describe('the other tables of fields in docs/openai.md', () => {
  const tables: Record<string, readonly string[]> = {
    'POST /v1/responses/input_tokens': INPUT_TOKENS_FIELDS,
    'POST /v1/responses/compact': COMPACT_FIELDS,
    'POST /v1/conversations': CONVERSATION_FIELDS,
  };
  for (const [endpoint, read] of Object.entries(tables)) {
    it(`have what is read of ${endpoint}, and no more`, () => {
      const found = fieldsOf(endpoint);
      assert.deepEqual(found.map(({ name }) => name).toSorted(), read.toSorted());
      assert.ok(found.every(({ what }) => what === 'supported'));
    });
  }
});

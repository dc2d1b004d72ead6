import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { AppError } from '../../errors.ts';
import { RESPONSE_FIELDS, responseRequest } from './response-request.ts';

const page = readFileSync(new URL('../../../docs/openai.md', import.meta.url), 'utf8');
const [, table = ''] = page.split('<!-- fields of POST /v1/responses -->');
const rows = [...table.matchAll(/^\| `(\w+)` \| ([a-z ]+) \|/gm)].map(([, name = '', what = '']) => ({
  name,
  what,
}));

describe('the table of fields in docs/openai.md', () => {
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

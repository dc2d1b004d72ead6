import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../../errors.ts';
import { isOpenAIPath, openAIErrorBody } from './openai-error.ts';

describe('an error in the envelope of OpenAI', () => {
  it('has all fields, whatever is known', () => {
    assert.deepEqual(openAIErrorBody(new AppError('rate_limited', { retry_after: 1 })), {
      error: {
        message: 'Too many requests; details.retry_after says when to come back.',
        type: 'rate_limit_error',
        param: null,
        code: 'rate_limited',
      },
    });
  });

  it('names the first field that is wrong', () => {
    const problems = [
      { in: 'body', path: '/input/0/role', message: 'must be a string' },
      { in: 'body', path: '/model', message: 'must be a string' },
    ];
    const { error } = openAIErrorBody(new AppError('invalid_request', { problems }));
    assert.equal(error.param, 'input[0].role');
    assert.match(error.message, /input\[0\]\.role must be a string$/);
    const whole = new AppError('invalid_request', {
      problems: [{ in: 'body', path: '', message: 'is missing' }],
    });
    assert.equal(openAIErrorBody(whole).error.param, 'body');
    assert.equal(openAIErrorBody(new AppError('invalid_request', { param: 'n' })).error.param, 'n');
  });

  it('has the type of its status', () => {
    const types = (['missing_api_key', 'session_not_found', 'provider_error'] as const).map(
      (code) => openAIErrorBody(new AppError(code)).error.type,
    );
    assert.deepEqual(types, ['authentication_error', 'invalid_request_error', 'server_error']);
  });

  it('is for the paths of that API alone', () => {
    for (const path of ['/v1', '/v1/models', '/v1?x', '/v1/']) assert.ok(isOpenAIPath(path), path);
    for (const path of ['/v10', '/sessions/v1', '/']) assert.ok(!isOpenAIPath(path), path);
  });
});

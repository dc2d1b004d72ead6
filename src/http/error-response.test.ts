import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fastify } from 'fastify';
import { AppError } from '../errors.ts';
import { sendError } from './error-response.ts';

async function answered(error: AppError) {
  const app = fastify();
  app.decorateReply('errorCode', null);
  app.setErrorHandler(sendError);
  app.get('/', () => {
    throw error;
  });
  const { statusCode, headers, body } = await app.inject('/');
  return { status: statusCode, retryAfter: headers['retry-after'], details: JSON.parse(body).error.details };
}

describe('the answer of an error', () => {
  it('says when a store is worth another try, also where the error says more', async () => {
    const cause = new Error('ECONNREFUSED');
    assert.deepEqual(await answered(new AppError('store_unavailable', undefined, { cause })), {
      status: 503,
      retryAfter: '2',
      details: { retry_after: 2 },
    });
    const { details } = await answered(new AppError('store_unavailable', { turn_id: 't' }));
    assert.deepEqual(details, { turn_id: 't', retry_after: 2 });
    const { retryAfter } = await answered(new AppError('store_unavailable', { retry_after: 1 }));
    assert.equal(retryAfter, '1', 'who knows better has said so');
  });

  it('says so of nothing else that has no time of its own', async () => {
    const limited = await answered(new AppError('rate_limited', { retry_after: 7 }));
    assert.deepEqual([limited.status, limited.retryAfter], [429, '7']);
    const { retryAfter, details } = await answered(new AppError('internal_error'));
    assert.deepEqual([retryAfter, details], [undefined, undefined]);
  });
});

/** What tools ask in the course of their calls: a model, at the turn's expense, and the user, if the client wants to be asked. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type OneSession, OWNER, openSession, reached, shownToEnd, textOf } from '../../test/one-session.ts';
import { type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { calls, done, ownCalls, type Run, text, toolboxOf } from '../../test/scripted-tools.ts';
import { NO_LIMITS } from '../conversation/client.ts';
import { createInProcessLimiter } from '../limits/in-process.ts';
import type { CallContext } from '../tools/tool-source.ts';
import { tokenBuckets } from './token-charge.ts';

let session: OneSession;
beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

const NEVER = new AbortController().signal;
const QUESTION = {
  messages: [{ role: 'user', content: { type: 'text', text: 'Which day is it?' } }],
  maxTokens: 50,
};
const SCHEMA = {
  type: 'object',
  properties: {
    age: { type: 'integer', minimum: 0, maximum: 150 },
    name: { type: 'string', minLength: 2 },
    mail: { type: 'boolean' },
    colour: { type: 'string', enum: ['red', 'blue'] },
  },
  required: ['age'],
};

/** A tool that asks, and says what it was answered. */
const asking =
  (ask: (context: CallContext) => Promise<unknown>): Run =>
  async (_args, { context }) => {
    try {
      return text(JSON.stringify(await ask(context as CallContext)));
    } catch (error) {
      return text(`not answered: ${(error as Error).message}`);
    }
  };
const sampling = (params: Record<string, unknown>) => asking((context) => context.sample(params, NEVER));
const eliciting = (params: Record<string, unknown>) => asking((context) => context.elicit(params, NEVER));

describe('a tool that has a model asked', () => {
  it('is answered by the target of the turn, which sees nothing of the conversation', async () => {
    const provider = scriptedProvider(
      'p',
      calls('x__query'),
      ['Wednesday.', done],
      ['It is Wednesday.', done],
    );
    const params = {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look:' },
            { type: 'image', data: 'AAAA', mimeType: 'image/png' },
          ],
        },
        { role: 'assistant', content: { type: 'text', text: 'Yes?' } },
        ...QUESTION.messages,
      ],
      systemPrompt: 'Be brief.',
      maxTokens: 50,
      temperature: 0,
      stopSequences: ['.'],
      includeContext: 'allServers',
      modelPreferences: { hints: [{ name: 'other' }] },
    };
    const toolboxes = toolboxOf({ x__query: sampling(params) });
    const { turn } = await session.run(session.turnsWith(provider, { toolboxes }), 'What day?');
    assert.deepEqual([turn.status, textOf(turn.output)], ['completed', 'It is Wednesday.']);
    const [call] = ownCalls(turn);
    assert.deepEqual(JSON.parse(call?.output ?? ''), {
      role: 'assistant',
      content: { type: 'text', text: 'Wednesday.' },
      model: 'm',
      stopReason: 'endTurn',
    });
    const prompt = provider.prompts[1];
    assert.deepEqual(prompt?.options, { max_tokens: 50, temperature: 0, stop: ['.'] });
    assert.equal(prompt?.instructions, 'Be brief.');
    assert.deepEqual(
      prompt?.items.map((item) => (item.type === 'message' ? [item.role, item.content.length] : item.type)),
      [
        ['user', 2],
        ['assistant', 1],
        ['user', 1],
      ],
    );
    // It is part of what the turn has cost, and of nothing else.
    assert.deepEqual(
      turn.attempts.map(({ sampledFor }) => sampledFor),
      [undefined, 'x.query', undefined],
    );
    assert.equal(turn.usage?.total_tokens, 45);
    assert.deepEqual(await session.conversation(), ['What day?', 'It is Wednesday.']);
  });

  it('is refused where the client has no tokens left, and what no model is given', async () => {
    const allowance = { ...NO_LIMITS, tokensPerMinute: 1100 };
    const limiter = createInProcessLimiter();
    const provider = scriptedProvider('p', calls('x__query', 'x__tools', 'x__audio', 'x__none'), [
      'So.',
      done,
    ]);
    const drain: Run = asking(async (context) => {
      const buckets = tokenBuckets(OWNER, allowance, 1);
      while ((await limiter.take(buckets)).allowed);
      return context.sample(QUESTION, NEVER);
    });
    const audio = {
      messages: [{ role: 'user', content: { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' } }],
    };
    const toolboxes = toolboxOf({
      x__query: drain,
      x__tools: sampling({ ...QUESTION, tools: [{ name: 'a' }] }),
      x__audio: sampling(audio),
      x__none: sampling({ messages: [] }),
    });
    const turns = session.turnsWith(provider, { toolboxes, limiter });
    const { turn } = await session.run(turns, 'Go', { allowance });
    assert.equal(provider.prompts.length, 2);
    for (const { output } of ownCalls(turn)) assert.match(output ?? '', /^not answered: /);
  });

  it('may ask no more than a few times, and ends with its turn', async () => {
    const answers = Array.from({ length: 10 }, (): Step[] => ['x', done]);
    const provider = scriptedProvider('p', calls('x__query'), ...answers, ['So.', done]);
    let asked = 0;
    const greedy = asking(async (context) => {
      for (; ; asked += 1) await context.sample(QUESTION, NEVER);
    });
    const turns = session.turnsWith(provider, { toolboxes: toolboxOf({ x__query: greedy }) });
    const { turn } = await session.run(turns, 'Go');
    assert.deepEqual([turn.status, asked], ['completed', 10]);
    const hanging = scriptedProvider('p', calls('x__query'), [{ until: new Promise(() => undefined) }]);
    const slow = session.turnsWith(hanging, { toolboxes: toolboxOf({ x__query: sampling(QUESTION) }) });
    const { live } = await slow.start(session.request('Go'));
    await reached(live, 'tool.started');
    await slow.cancel(OWNER, session.sessionId, live.id);
    assert.equal((await live.ended).turn.status, 'cancelled');
  });
});

describe('a tool that asks the user', () => {
  const turnsAsking = () =>
    session.turnsWith(scriptedProvider('p', calls('x__query'), ['Thanks.', done]), {
      toolboxes: toolboxOf({ x__query: eliciting({ message: 'How old?', requestedSchema: SCHEMA }) }),
    });

  it('is told no, unless the client wants to be asked', async () => {
    const { turn } = await session.run(turnsAsking(), 'Go');
    assert.equal(ownCalls(turn)[0]?.output, '{"action":"decline"}');
  });

  it('is answered by the owner of the turn, in the form that it wants', async () => {
    const turns = turnsAsking();
    const { live } = await turns.start(session.request('Go', { elicitation: true }));
    const asked = await reached(live, 'tool.input_requested');
    assert.ok(asked.type === 'tool.input_requested');
    const { requestId, message, schema } = asked.asked;
    assert.deepEqual([message, schema], ['How old?', SCHEMA]);
    const name = { owner: OWNER, sessionId: session.sessionId, turnId: live.id };
    for (const content of [
      {},
      { age: 'x' },
      { age: 1.5 },
      { age: -1 },
      { age: 40, name: 'x' },
      { age: 40, mail: 1 },
      { age: 40, colour: 'green' },
      { age: 40, more: 1 },
    ]) {
      await assert.rejects(turns.answerInput(name, requestId, { action: 'accept', content }), {
        code: 'invalid_request',
      });
    }
    await assert.rejects(turns.answerInput(name, 'another', { action: 'decline' }), {
      code: 'input_not_found',
    });
    await assert.rejects(
      turns.answerInput({ ...name, owner: 'somebody' }, requestId, { action: 'decline' }),
      {
        code: 'session_not_found',
      },
    );
    const content = { age: 40, name: 'Ada', mail: true, colour: 'red' };
    await turns.answerInput(name, requestId, { action: 'accept', content });
    const { turn } = await live.ended;
    assert.deepEqual(JSON.parse(ownCalls(turn)[0]?.output ?? ''), { action: 'accept', content });
    await assert.rejects(turns.answerInput(name, requestId, { action: 'decline' }), {
      code: 'input_not_found',
    });
    // Followers see that it was asked and answered, later as well, and not what was entered.
    const seen = await shownToEnd(live);
    assert.deepEqual(await shownToEnd(await turns.find(OWNER, session.sessionId, live.id)), seen);
    assert.match(JSON.stringify(seen), /tool\.input_answered/);
    assert.doesNotMatch(JSON.stringify(turn.trace), /Ada/);
  });

  it('waits no longer than its turn', async () => {
    const turns = turnsAsking();
    const { live } = await turns.start(session.request('Go', { elicitation: true }));
    await reached(live, 'tool.input_requested');
    await turns.cancel(OWNER, session.sessionId, live.id);
    const { turn } = await live.ended;
    assert.equal(turn.status, 'cancelled');
    assert.deepEqual(
      await shownToEnd(await turns.find(OWNER, session.sessionId, live.id)),
      await shownToEnd(live),
    );
  });

  it('is told no for what is no form, and when it asks too often', async () => {
    const outcomes: unknown[] = [];
    const greedy = asking(async (context) => {
      outcomes.push(await context.elicit({ mode: 'url', message: 'Log in', url: 'https://x' }, NEVER));
      outcomes.push(await context.elicit({ message: 'What?' }, NEVER));
      return outcomes;
    });
    const provider = scriptedProvider('p', calls('x__query'), ['So.', done]);
    const turns = session.turnsWith(provider, { toolboxes: toolboxOf({ x__query: greedy }) });
    await session.run(turns, 'Go', { elicitation: true });
    assert.deepEqual(outcomes, [{ action: 'decline' }, { action: 'decline' }]);
  });
});

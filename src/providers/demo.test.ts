import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PromptItem } from '../conversation/item.ts';
import { createDemo } from './demo.ts';
import { collect, promptOf, providerContract } from './provider.contract.ts';
import type { Prompt, ProviderEvent } from './provider.ts';

const demo = createDemo();
const tool = (name: string) => ({ type: 'function', function: { name } });

providerContract('demo', async () => ({ provider: createDemo(), double: null }));

test('the demo says that it is one, and shows that it was given the conversation', async () => {
  const text = textOf(await collect(demo, promptOf('And now?', 'My name is Ada.')));
  assert.match(text, /demonstration/);
  assert.match(text, /You said: “And now\?”/);
  assert.match(text, /Before that you said: “My name is Ada\.”/);
  assert.match(text, /I see 2 messages/);
});

test('the demo goes on with its own answer, and answers anew what is not its own', async () => {
  const prompt = promptOf('one two');
  const whole = textOf(await collect(demo, prompt));
  for (const at of [1, 10, whole.length]) {
    const rest = textOf(await collect(demo, { ...prompt, continueFrom: whole.slice(0, at) }));
    assert.equal(rest, whole.slice(at));
  }
  assert.equal(textOf(await collect(demo, { ...prompt, continueFrom: 'Once upon a time' })), whole);
});

test('the demo does not quote without end', async () => {
  assert.ok(textOf(await collect(demo, promptOf('long '.repeat(10_000)))).length < 1000);
});

for (const [text, expected] of [
  ['please add {"a": 1}', '{"a": 1}'],
  ['please add', '{}'],
  ['add these: 1 and 2', '{}'],
  ['add {"a": ', '{}'],
  ['padding, then add.', '{}'],
] as const) {
  test(`the demo calls the function named in "${text}"`, async () => {
    const [call] = await collect(demo, withTools(promptOf(text), 'add'));
    assert.deepEqual(call, { type: 'tool-call', callId: 'call_demo_1', name: 'add', arguments: expected });
  });
}

test('the demo calls nothing that is not named as a word, or not offered', async () => {
  const answers = [
    await collect(demo, withTools(promptOf('adding address read_add'), 'add')),
    await collect(demo, promptOf('add {"a": 1}')),
    await collect(demo, { ...promptOf('add'), options: { tools: 'add' } }),
    await collect(demo, { ...promptOf('add'), options: { tools: [null, {}, { function: { name: 3 } }] } }),
  ];
  for (const events of answers)
    assert.equal(events.at(-1)?.type === 'finish' && events[0]?.type, 'text-delta');
});

test('the demo answers with the result of its call, and does not call again', async () => {
  const prompt = withTools(promptOf('add {"a": 1}'), 'add');
  const made: PromptItem[] = [
    { type: 'function_call', id: 'fc_1', call_id: 'c1', name: 'add', arguments: '{}', status: 'completed' },
    { type: 'function_call_output', id: 'fco_1', call_id: 'c1', output: 'forty-two', status: 'completed' },
  ];
  const events = await collect(demo, { ...prompt, items: [...prompt.items, ...made] });
  assert.match(textOf(events), /The tool answered: “forty-two”/);
});

function withTools(prompt: Prompt, ...names: string[]): Prompt {
  return { ...prompt, options: { tools: names.map(tool) } };
}

function textOf(events: readonly ProviderEvent[]): string {
  return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
}

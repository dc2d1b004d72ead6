import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Item, MessagePart } from '../conversation/item.ts';
import { tokenEstimate } from './tokens.ts';

let number = 0;

function message(...content: MessagePart[]): Item {
  number += 1;
  return { type: 'message', id: `msg_${number}`, role: 'user', status: 'completed', content };
}

const text = (words: string): MessagePart => ({ type: 'input_text', text: words });

describe('the estimate of tokens', () => {
  it('uses the vocabulary of the model', async () => {
    // Known counts: the newer vocabulary has longer pieces for languages other than English.
    const sentence = 'お誕生日おめでとう';
    const newer = await tokenEstimate('gpt-4o-mini');
    const older = await tokenEstimate('openai/gpt-4');
    assert.equal(newer.text(sentence), 8);
    assert.equal(older.text(sentence), 9);
  });

  it('takes the newer one for models it does not know', async () => {
    assert.equal(await tokenEstimate('llama-4'), await tokenEstimate(null));
  });

  it('counts text, calls, results, images and files, and reasoning not at all', async () => {
    const { items } = await tokenEstimate(null);
    const hello = items([message(text('hello'))]);
    assert.ok(hello > 0);
    assert.equal(items([message(text('hello')), message(text('hello'))]), 2 * hello);
    assert.ok(items([message({ type: 'input_image', image_url: 'data:image/png;base64,' })]) > 500);
    assert.ok(items([message({ type: 'input_file', file_data: 'x'.repeat(4000) })]) >= 1000);
    const call: Item = {
      type: 'function_call',
      id: 'fc',
      call_id: 'c',
      name: 'look',
      arguments: '{"at": "it"}',
      status: 'completed',
    };
    const result: Item = {
      type: 'function_call_output',
      id: 'fco',
      call_id: 'c',
      output: 'a lot of text',
      status: 'completed',
    };
    assert.ok(items([call]) > 4 && items([result]) > 4);
    assert.equal(
      items([
        { type: 'reasoning', id: 'rs', summary: [], content: [{ type: 'reasoning_text', text: 'hm' }] },
      ]),
      0,
    );
  });

  it('takes what looks like a control token for text', async () => {
    const estimate = await tokenEstimate(null);
    assert.ok(estimate.text('<|endoftext|>') > 1);
  });

  it('survives a megabyte without a break', async () => {
    const estimate = await tokenEstimate(null);
    assert.ok(estimate.text('a'.repeat(1_000_000)) > 10_000);
  });
});

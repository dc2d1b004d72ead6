import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newId } from '../../conversation/id.ts';
import { conversationIdOf, sessionOfId, turnIdOf, turnOfId } from './ids.ts';

describe('the ids of the OpenAI door', () => {
  it('are read back as what they name', () => {
    const place = { sessionId: newId(), turnId: newId() };
    for (const prefix of ['resp', 'chatcmpl'] as const) {
      const id = turnIdOf(prefix, place);
      assert.match(id, /^(resp_|chatcmpl-)[0-9a-f]{64}$/);
      assert.deepEqual(turnOfId(prefix, id), place);
    }
    assert.equal(turnOfId('resp', turnIdOf('chatcmpl', place)), null);
    const conversation = conversationIdOf(place.sessionId);
    assert.match(conversation, /^conv_[0-9a-f]{32}$/);
    assert.equal(sessionOfId(conversation), place.sessionId);
  });

  it('are nothing if they are anything else', () => {
    const id = conversationIdOf(newId());
    for (const wrong of ['', 'conv_', `${id}0`, id.slice(0, -1), id.toUpperCase(), id.replace(/.$/, 'g')]) {
      assert.equal(sessionOfId(wrong), null, wrong);
    }
  });
});

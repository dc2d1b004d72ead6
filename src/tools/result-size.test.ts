import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { boundedResult, cutText } from './result-size.ts';
import type { ToolContent, ToolResult } from './tool-source.ts';

const bytes = (text: string) => Buffer.byteLength(text, 'utf8');

/** Characters of one to four bytes, and of one or two UTF-16 units. */
const text = fc.string({ unit: fc.constantFrom('a', '\n', 'é', '日', '😀', '𝒳'), maxLength: 300 });
const size = fc.integer({ min: 0, max: 400 });

describe('cutText', () => {
  it('leaves alone what fits', () => {
    fc.assert(fc.property(text, (whole) => assert.equal(cutText(whole, bytes(whole)), whole)));
  });

  it('never gives more than it may, nor half a character', () => {
    fc.assert(
      fc.property(text, size, (whole, max) => {
        const cut = cutText(whole, max);
        assert.ok(bytes(cut) <= max);
        assert.ok(cut.isWellFormed());
        const [kept = ''] = cut.split('\n[cut: ');
        assert.ok(whole.startsWith(kept));
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps as much as there is room for beside the note', () => {
    fc.assert(
      fc.property(text, size, (whole, max) => {
        const cut = cutText(whole, max);
        // Four bytes more could be one character more.
        if (cut !== whole) assert.ok(bytes(cut) > max - 4);
      }),
    );
  });

  it('says how long the text was', () => {
    const cut = cutText('x'.repeat(1000), 200);
    assert.match(cut, /^x+\n\[cut: this result had 1000 bytes, of which the beginning is shown\]$/);
  });

  it('takes half a character of the server as the replacement that it is sent as', () => {
    assert.equal(cutText(`\ud800${'x'.repeat(9)}`, 4), '\ufffdx');
  });
});

const base64 = fc.base64String({ maxLength: 200 });
const part: fc.Arbitrary<ToolContent> = fc.oneof(
  text.map((content) => ({ type: 'text' as const, text: content })),
  base64.map((data) => ({ type: 'image' as const, mime_type: 'image/png', data })),
  fc.tuple(text, text).map(([uri, content]) => ({ type: 'resource' as const, uri, text: content })),
  fc.tuple(text, base64).map(([uri, blob]) => ({ type: 'resource' as const, uri, blob })),
  text.map((uri) => ({ type: 'resource_link' as const, uri, name: 'link' })),
);
const result = fc.record(
  {
    text,
    isError: fc.boolean(),
    content: fc.array(part, { maxLength: 8 }),
    structured: fc.jsonValue(),
  },
  { noNullPrototype: true },
);

function carried(content: ToolContent): number {
  const { type: _type, ...fields } = content;
  if (content.type === 'omitted') return 0;
  return Object.entries(fields)
    .filter(([field]) => ['text', 'data', 'blob', 'uri'].includes(field))
    .reduce((sum, [, value]) => sum + bytes(String(value)), 0);
}

describe('boundedResult', () => {
  it('leaves alone what fits', () => {
    fc.assert(fc.property(result, (whole) => assert.deepEqual(boundedResult(whole, 100_000), whole)));
  });

  it('keeps the text, and all that the parts carry, within the bound', () => {
    fc.assert(
      fc.property(result, size, (whole, max) => {
        const bounded = boundedResult(whole, max);
        assert.ok(bytes(bounded.text) <= max);
        assert.ok(bounded.content.reduce((sum, kept) => sum + carried(kept), 0) <= max);
        assert.equal(bounded.content.length, whole.content.length);
        assert.equal(bounded.isError, whole.isError);
        if (bounded.structured !== undefined) assert.ok(bytes(JSON.stringify(bounded.structured)) <= max);
      }),
    );
  });

  it('says what it left out', () => {
    const image: ToolContent = { type: 'image', mime_type: 'image/png', data: 'A'.repeat(400) };
    const file: ToolContent = { type: 'resource', uri: 'file:///a', mime_type: 'a/b', blob: 'A'.repeat(400) };
    const note: ToolContent = { type: 'text', text: 'ok' };
    const whole: ToolResult = {
      text: 'ok',
      isError: false,
      content: [image, file, note],
      structured: 'x'.repeat(400),
    };
    assert.deepEqual(boundedResult(whole, 300), {
      text: 'ok',
      isError: false,
      content: [
        { type: 'omitted', of: 'image', mime_type: 'image/png', bytes: 400 },
        { type: 'omitted', of: 'resource', mime_type: 'a/b', uri: 'file:///a', bytes: 409 },
        note,
      ],
    });
  });

  it('does not take an address that is a whole document for an address', () => {
    const link: ToolContent = { type: 'resource_link', uri: `data:,${'x'.repeat(5000)}`, name: 'x' };
    const bounded = boundedResult({ text: '', isError: false, content: [link] }, 100);
    assert.deepEqual(bounded.content, [{ type: 'omitted', of: 'resource_link', bytes: 5007 }]);
  });

  it('keeps no more parts than anybody shows', () => {
    const content: ToolContent[] = Array.from({ length: 100_000 }, () => ({ type: 'text', text: '' }));
    const bounded = boundedResult({ text: '', isError: false, content }, 1000);
    assert.equal(bounded.content.length, 257);
    assert.deepEqual(bounded.content.at(-1), { type: 'omitted', of: '99744 parts', bytes: 0 });
  });
});

/**
 * Keeping results within bounds: a text is cut with a note, parts that do not fit are left out and say so. Pure; how
 * much is kept is the operator's to say.
 */

import type { ToolContent, ToolResult } from './tool-source.ts';

/**
 * The result with a text, and with parts and data in all, of at most `maxBytes` each, as UTF-8. What fits is returned
 * as it is. Parts are kept from the first on: texts are cut, other parts that do not fit become `omitted`, and data
 * that does not fit is left out, its text being there already.
 */
export function boundedResult(result: ToolResult, maxBytes: number): ToolResult {
  const { structured, ...rest } = result;
  const sized = { ...rest, text: cutText(result.text, maxBytes) };
  let left = maxBytes;
  const content = countedParts(result.content).map((part) => {
    const kept = boundedPart(part, left);
    left -= Math.min(left, heldBytes(kept));
    return kept;
  });
  if (structured === undefined) return { ...sized, content };
  const fits = utf8Bytes(JSON.stringify(structured) ?? '') <= left;
  return fits ? { ...sized, content, structured } : { ...sized, content };
}

/**
 * The text in at most `maxBytes` bytes of UTF-8. One that is longer ends, after a whole character, with a note that says
 * how long it was; where not even the note has room, the text is as much of it as fits.
 */
export function cutText(text: string, maxBytes: number): string {
  const bytes = utf8Bytes(text);
  if (bytes <= maxBytes) return text;
  const note = `\n[cut: this result had ${bytes} bytes, of which the beginning is shown]`;
  const room = maxBytes - utf8Bytes(note);
  return room < 0 ? leadingText(text, maxBytes) : leadingText(text, room) + note;
}

/** As many whole characters of the text's beginning as fit into the bytes. */
function leadingText(text: string, maxBytes: number): string {
  // No character takes fewer bytes than it has UTF-16 units, so the rest needs not be looked at.
  const encoded = Buffer.from(text.slice(0, maxBytes + 1), 'utf8');
  let end = Math.min(maxBytes, encoded.length);
  // Bytes 10xxxxxx go on with a character that has begun before.
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return encoded.toString('utf8', 0, end);
}

/** More parts than anybody shows. Without a bound a result of empty ones would have no size and no end. */
const PARTS_MAX = 256;

function countedParts(parts: readonly ToolContent[]): readonly ToolContent[] {
  if (parts.length <= PARTS_MAX) return parts;
  const bytes = parts.slice(PARTS_MAX).reduce((sum, part) => sum + heldBytes(part), 0);
  const of = `${parts.length - PARTS_MAX} parts`;
  return [...parts.slice(0, PARTS_MAX), { type: 'omitted', of, bytes }];
}

function boundedPart(part: ToolContent, maxBytes: number): ToolContent {
  if (heldBytes(part) <= maxBytes) return part;
  if (part.type === 'text') return { type: 'text', text: cutText(part.text, maxBytes) };
  if (part.type === 'resource' && 'text' in part && utf8Bytes(part.uri) <= maxBytes) {
    return { ...part, text: cutText(part.text, maxBytes - utf8Bytes(part.uri)) };
  }
  const { type, mime_type: mimeType } = part;
  return {
    type: 'omitted',
    of: part.type === 'omitted' ? part.of : type,
    ...(mimeType === undefined ? {} : { mime_type: mimeType }),
    ...('uri' in part && part.uri !== undefined && utf8Bytes(part.uri) <= SHOWN_URI_BYTES
      ? { uri: part.uri }
      : {}),
    bytes: heldBytes(part),
  };
}

/** A longer address says nothing to a reader, and may be a whole document in `data:`. */
const SHOWN_URI_BYTES = 2048;

/** The bytes of what a part carries. What it says about that is a matter of a few. */
function heldBytes(part: ToolContent): number {
  switch (part.type) {
    case 'text':
      return utf8Bytes(part.text);
    case 'image':
    case 'audio':
      return utf8Bytes(part.data);
    case 'resource':
      return utf8Bytes(part.uri) + utf8Bytes('text' in part ? part.text : part.blob);
    case 'resource_link':
      return utf8Bytes(part.uri) + utf8Bytes(part.name) + utf8Bytes(part.description ?? '');
    case 'omitted':
      return 0;
  }
}

function utf8Bytes(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

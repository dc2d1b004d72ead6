/** Results of the protocol as results of the contract. */

import type { CallToolResult } from '@modelcontextprotocol/client';
import type { ToolContent, ToolResult } from './tool-source.ts';

type ContentBlock = CallToolResult['content'][number];

/** The result as plain data; whatever is in `_meta` is the protocol's own and stays behind. */
export function toolResult({ content: blocks, structuredContent, isError }: CallToolResult): ToolResult {
  const content = blocks.map(toolContent);
  const result = { text: shownText(content, structuredContent), isError: isError === true, content };
  return structuredContent === undefined ? result : { ...result, structured: structuredContent };
}

function toolContent(block: ContentBlock): ToolContent {
  switch (block.type) {
    case 'text':
      return { type: 'text', text: block.text };
    case 'image':
    case 'audio':
      return { type: block.type, mime_type: block.mimeType, data: block.data };
    case 'resource': {
      const { uri, mimeType, ...held } = block.resource;
      const what = { type: 'resource' as const, uri, ...mimeTypeOf(mimeType) };
      return 'text' in held ? { ...what, text: held.text } : { ...what, blob: held.blob };
    }
    case 'resource_link': {
      const { uri, name, description, mimeType } = block;
      const told = description === undefined ? {} : { description };
      return { type: 'resource_link', uri, name, ...told, ...mimeTypeOf(mimeType) };
    }
  }
}

function mimeTypeOf(mimeType: string | undefined): { mime_type?: string } {
  return mimeType === undefined ? {} : { mime_type: mimeType };
}

/**
 * What a model reads: the texts, and a line for each part that is none. Data is there in the servers' own words already,
 * where they follow the protocol; it is shown where there is no text at all.
 */
function shownText(content: readonly ToolContent[], structured: unknown): string {
  const lines = content.map(shownPart);
  const hasText = content.some(
    (part) => part.type === 'text' || (part.type === 'resource' && 'text' in part),
  );
  if (!hasText && structured !== undefined) lines.push(JSON.stringify(structured));
  return lines.join('\n');
}

function shownPart(part: ToolContent): string {
  switch (part.type) {
    case 'text':
      return part.text;
    case 'image':
    case 'audio':
      return `[${part.type}: ${part.mime_type}, ${base64Bytes(part.data)} bytes]`;
    case 'resource':
      if ('text' in part) return `[resource: ${part.uri}]\n${part.text}`;
      return `[resource: ${part.uri}, ${part.mime_type ?? 'binary'}, ${base64Bytes(part.blob)} bytes]`;
    case 'resource_link':
      return `[link: ${part.name}, ${part.uri}]${part.description === undefined ? '' : ` ${part.description}`}`;
    case 'omitted':
      return `[left out: ${part.of}, ${part.bytes} bytes]`;
  }
}

function base64Bytes(data: string): number {
  return Buffer.byteLength(data, 'base64');
}

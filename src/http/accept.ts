/** What a client would rather read, by its `Accept` header. */

/**
 * The media type that the header prefers: by its quality, then by how narrowly it is asked for, then by the order
 * in which they are offered. Undefined where the header accepts none of them.
 * @param accept undefined, as the header is where a client sends none, accepts everything
 * @param offered types in lower case without parameters, the server's own choice first
 */
export function preferredType(accept: string | undefined, offered: readonly string[]): string | undefined {
  const ranges = (accept ?? '*/*').split(',').map(readRange);
  const wishes = offered.map((type) => wishFor(type, ranges)).filter(({ quality }) => quality > 0);
  // Sorting keeps the order of what is wished for alike.
  wishes.sort((one, other) => other.quality - one.quality || other.narrowness - one.narrowness);
  return wishes[0]?.type;
}

interface Range {
  pattern: string;
  quality: number;
}

function readRange(text: string): Range {
  const [pattern = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice('q='.length);
  return { pattern, quality: quality === undefined ? 1 : Number(quality) || 0 };
}

/** What the narrowest ranges that the type is in say of it. */
function wishFor(type: string, ranges: readonly Range[]) {
  const group = `${type.slice(0, type.indexOf('/'))}/*`;
  const patterns = ['*/*', group, type];
  let narrowness = -1;
  let quality = 0;
  for (const range of ranges) {
    const found = patterns.indexOf(range.pattern);
    if (found < narrowness || found === -1) continue;
    // The same type can stand there in several versions.
    quality = found === narrowness ? Math.max(quality, range.quality) : range.quality;
    narrowness = found;
  }
  return { type, quality, narrowness };
}

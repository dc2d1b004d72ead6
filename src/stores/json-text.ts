/** Taking JSON text apart without parsing it, so that its parts stay what they are to the byte. It checks nothing. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** The texts of an array's elements. @param text valid JSON */
export function elementsOf(text: string): string[] {
  return partsOf(text);
}

/** The texts of an object's members by their names. @param text valid JSON; of a name that is there twice the last counts */
export function membersOf(text: string): Map<string, string> {
  const members = new Map<string, string>();
  for (const part of partsOf(text)) {
    const nameEnd = endOfString(part, 0);
    const name = JSON.parse(part.slice(0, nameEnd)) as string;
    members.set(name, part.slice(part.indexOf(':', nameEnd) + 1).trim());
  }
  return members;
}

/** What stands between the commas of the outermost array or object. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at) - 1;
    } else if (OPENING.has(code)) {
      depth += 1;
      if (depth === 1) from = at + 1;
    } else if (CLOSING.has(code)) {
      depth -= 1;
      if (depth === 0) parts.push(text.slice(from, at).trim());
    } else if (code === COMMA && depth === 1) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  return parts.length === 1 && parts[0] === '' ? [] : parts;
}

/** Where the text goes on after the string that begins there. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end + 1;
  }
}

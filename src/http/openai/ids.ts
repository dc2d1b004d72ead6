/**
 * The ids of OpenAI's API: what they name is a session or a turn, and both can be read out of them. Whoever makes one up
 * finds nothing: it is looked for among what the caller owns.
 */

/** A turn, and the session that it belongs to. */
export interface TurnPlace {
  sessionId: string;
  turnId: string;
}

/** What the prefix says of a turn: how it came in. */
type TurnPrefix = 'resp' | 'chatcmpl';

/** The joint of prefix and id, as each of the two APIs writes it. */
const JOINTS = { resp: '_', chatcmpl: '-' } as const satisfies Record<TurnPrefix, string>;

/** The id under which the turn is found. */
export function turnIdOf(prefix: TurnPrefix, { sessionId, turnId }: TurnPlace): string {
  return `${prefix}${JOINTS[prefix]}${bare(sessionId)}${bare(turnId)}`;
}

/** The turn of that id; null for what is none. */
export function turnOfId(prefix: TurnPrefix, id: string): TurnPlace | null {
  const digits = digitsOf(`${prefix}${JOINTS[prefix]}`, id, 64);
  return digits === null
    ? null
    : { sessionId: dashed(digits.slice(0, 32)), turnId: dashed(digits.slice(32)) };
}

/** The id of the session as a conversation. */
export function conversationIdOf(sessionId: string): string {
  return `conv_${bare(sessionId)}`;
}

/** The session of that conversation; null for what is none. */
export function sessionOfId(id: string): string | null {
  const digits = digitsOf('conv_', id, 32);
  return digits === null ? null : dashed(digits);
}

function digitsOf(prefix: string, id: string, length: number): string | null {
  const digits = id.slice(prefix.length);
  return id.startsWith(prefix) && digits.length === length && /^[0-9a-f]+$/.test(digits) ? digits : null;
}

function bare(id: string): string {
  return id.replaceAll('-', '');
}

function dashed(digits: string): string {
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

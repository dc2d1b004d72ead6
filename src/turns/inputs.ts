/**
 * What tools ask the user while their calls run (`elicitation/create` of the Model Context Protocol), of one turn: asked of
 * whoever follows the turn, answered by its owner, and forgotten. What is entered is handed on and kept nowhere.
 */

import { newId } from '../conversation/id.ts';
import type { McpCallItem } from '../conversation/item.ts';
import { AppError } from '../errors.ts';
import type { ElicitationAnswer } from '../tools/tool-source.ts';
import type { CallEvent } from './run-calls.ts';

export interface TurnInputs {
  /**
   * Asks, and resolves with what was answered: `decline` at once where the client has not asked to be asked, or in a form
   * that is none; `cancel` when the signal aborts first.
   */
  ask(
    call: McpCallItem,
    params: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    tell: (event: CallEvent) => void,
  ): Promise<ElicitationAnswer>;
  /** Throws `input_not_found` for what is not asked at the moment, `invalid_request` for what does not fit its schema. */
  answer(requestId: string, answer: ElicitationAnswer): void;
}

/** What one tool can ask for at most while it runs: a person answers it. */
const INPUTS_MAX = 10;

interface Pending {
  schema: Readonly<Record<string, unknown>>;
  settle(answer: ElicitationAnswer): void;
}

/** @param isWanted whether the client wants to be asked */
export function createTurnInputs(isWanted: boolean): TurnInputs {
  const pending = new Map<string, Pending>();
  let asked = 0;
  return { ask, answer };

  async function ask(
    call: McpCallItem,
    params: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    tell: (event: CallEvent) => void,
  ): Promise<ElicitationAnswer> {
    const { message, requestedSchema: schema, mode = 'form' } = params;
    asked += 1;
    if (!isWanted || asked > INPUTS_MAX || mode !== 'form' || !isObject(schema)) return { action: 'decline' };
    const requestId = newId();
    const answered = new Promise<ElicitationAnswer>((resolve) => {
      pending.set(requestId, { schema, settle: resolve });
      const giveUp = () => resolve({ action: 'cancel' });
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp, { once: true });
    });
    const said = typeof message === 'string' ? message : '';
    tell({ type: 'input-asked', call, asked: { requestId, message: said, schema } });
    const given = await answered;
    pending.delete(requestId);
    tell({ type: 'input-given', call, requestId, action: given.action });
    return given;
  }

  function answer(requestId: string, { action, content }: ElicitationAnswer): void {
    const asking = pending.get(requestId);
    if (asking === undefined) throw new AppError('input_not_found');
    const entered = action === 'accept' ? checked(content ?? {}, asking.schema) : undefined;
    pending.delete(requestId);
    asking.settle(entered === undefined ? { action } : { action, content: entered });
  }
}

/** The content, if it fits the schema: an object of plain values, as the protocol lets servers ask for. */
function checked(
  content: Record<string, unknown>,
  schema: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const fields = isObject(schema['properties']) ? schema['properties'] : {};
  const wanted: unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  // What was left out and has a default is filled in where the answer is sent.
  const required = wanted.filter((name) => Object(fields[String(name)]).default === undefined);
  const problems = [
    ...required
      .filter((name) => !Object.hasOwn(content, String(name)))
      .map((name) => problem(name, 'is missing')),
    ...Object.entries(content).flatMap(([name, value]) => {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
      const wrong = isObject(field) ? mismatch(value, field) : 'is not asked for';
      return wrong === null ? [] : [problem(name, wrong)];
    }),
  ];
  if (problems.length > 0) throw new AppError('invalid_request', { problems });
  return content;
}

function problem(name: unknown, message: string) {
  return { in: 'body', path: `/content/${String(name)}`, message };
}

/** What is wrong with a value; null if nothing is. */
function mismatch(value: unknown, field: Readonly<Record<string, unknown>>): string | null {
  const { type, minimum, maximum, minLength, maxLength } = field;
  const choices = choicesOf(field);
  switch (type) {
    case 'boolean':
      return typeof value === 'boolean' ? null : 'must be true or false';
    case 'number':
    case 'integer': {
      const isRight = typeof value === 'number' && (type === 'number' || Number.isInteger(value));
      if (!isRight) return `must be ${type === 'number' ? 'a number' : 'a whole number'}`;
      if (typeof minimum === 'number' && value < minimum) return `must be at least ${minimum}`;
      return typeof maximum === 'number' && value > maximum ? `must be at most ${maximum}` : null;
    }
    case 'array': {
      const items = isObject(field['items']) ? choicesOf(field['items']) : null;
      const isRight =
        Array.isArray(value) &&
        value.every((one) => typeof one === 'string' && (items?.includes(one) ?? true));
      return isRight ? null : 'must be a list of the values that can be chosen';
    }
    default:
      if (typeof value !== 'string') return 'must be a text';
      if (choices !== null && !choices.includes(value)) return 'must be one of the values that can be chosen';
      if (typeof minLength === 'number' && value.length < minLength)
        return `must have at least ${minLength} characters`;
      return typeof maxLength === 'number' && value.length > maxLength
        ? `must have at most ${maxLength} characters`
        : null;
  }
}

/** The values that can be chosen, in any of the forms that the protocol has had; null for any. */
function choicesOf(field: Readonly<Record<string, unknown>>): readonly unknown[] | null {
  if (Array.isArray(field['enum'])) return field['enum'];
  const titled = field['oneOf'] ?? field['anyOf'];
  return Array.isArray(titled) ? titled.map((one) => (isObject(one) ? one['const'] : undefined)) : null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

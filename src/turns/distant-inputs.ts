/** Hands what was entered on to the server that runs the turn, and says whether it has arrived. */

import { newId } from '../conversation/id.ts';
import { AppError, asAppError } from '../errors.ts';
import type { Exchange, Notice, TurnName } from '../replicas/exchange.ts';
import type { ElicitationAnswer } from '../tools/tool-source.ts';
import type { TurnInputs } from './inputs.ts';

export interface DistantInputsOptions {
  exchange: Exchange;
  /** What the tools of a turn ask, if it runs here. */
  find(turn: TurnName): TurnInputs | undefined;
}

/** As `TurnInputs.answer`, of a turn that another server runs; throws `turn_not_reached` if none says that it does. */
export type AnswerElsewhere = (turn: TurnName, requestId: string, answer: ElicitationAnswer) => Promise<void>;

/** Whoever is there has answered long before; whoever is not never will. */
const PATIENCE_MILLISECONDS = 2000;

type InputNotice = Extract<Notice, { kind: 'input' }>;

export function createDistantInputs({ exchange, find }: DistantInputsOptions): AnswerElsewhere {
  const waiting = new Map<string, (refusal: AppError | null) => void>();
  exchange.listen((notice) => {
    if (notice.kind === 'input') take(notice);
    else if (notice.kind === 'input-taken') {
      const { refusal } = notice;
      waiting.get(notice.id)?.(refusal === null ? null : new AppError(refusal.code, refusal.details));
    }
  });
  return answerElsewhere;

  function take({ id, from, turn, requestId, answer }: InputNotice): void {
    const inputs = find(turn);
    if (inputs === undefined) return;
    let refusal: AppError | null = null;
    try {
      inputs.answer(requestId, answer);
    } catch (error) {
      refusal = asAppError(error);
    }
    const told = refusal && { code: refusal.code, details: refusal.details };
    exchange.tell({ kind: 'input-taken', id, refusal: told }, from);
  }

  async function answerElsewhere(
    turn: TurnName,
    requestId: string,
    answer: ElicitationAnswer,
  ): Promise<void> {
    const id = newId();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new AppError('turn_not_reached')), PATIENCE_MILLISECONDS);
    waiting.set(id, (refusal) => (refusal === null ? resolve() : reject(refusal)));
    try {
      exchange.tell({ kind: 'input', id, from: exchange.self, turn, requestId, answer });
      await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(id);
    }
  }
}

/** `POST /v1/responses/input_tokens`: how much a model would read, estimated as the window is. */

import { Type } from 'typebox';
import { tokenEstimate } from '../../sessions/tokens.ts';
import type { App, Rooms } from '../rooms.ts';
import { bodyFields } from './body-fields.ts';
import { modelOf } from './common-fields.ts';
import { inputItems } from './input-items.ts';
import { withoutReferences } from './item-references.ts';
import { openAIErrors } from './openai-schemas.ts';
import { responseOptions } from './response-options.ts';
import { beforeResponse, historyOf } from './response-place.ts';
import { INPUT_TOKENS_FIELDS, responsePlace } from './response-request.ts';
import { InputTokensBody } from './response-schemas.ts';
import { responseTools } from './response-tools.ts';

export function addInputTokensRoute(app: App, { sessions, providers, admin }: Rooms): void {
  app.post(
    '/v1/responses/input_tokens',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'countInputTokens',
        summary: 'Estimate the tokens of a request for a response',
        description:
          'Of the past, the input, the instructions, and the functions of the request; those of servers are not counted.',
        body: InputTokensBody,
        response: {
          200: Type.Object({
            object: Type.Literal('response.input_tokens'),
            input_tokens: Type.Integer({ minimum: 0 }),
          }),
          ...openAIErrors,
        },
      },
    },
    async ({ owner, body }) => {
      const fields = bodyFields(body);
      fields.only(INPUT_TOKENS_FIELDS);
      const before = await beforeResponse(sessions, owner, responsePlace(body));
      const truncation = fields.oneOf('truncation', ['auto', 'disabled']);
      const past = await historyOf(sessions, owner, before, truncation);
      const input = await withoutReferences(inputItems(body['input'] ?? []), owner, async () => past, {
        sessions,
        turnIndex: admin.adminStore,
      });
      const instructions = fields.text('instructions') ?? before?.session.instructions ?? '';
      const { response_format: format } = responseOptions(body).options;
      const { tools } = responseTools(body).options;
      const model = modelOf(body) ?? before?.session.model ?? providers.default.defaultModel;
      const estimate = await tokenEstimate(model);
      const told = [
        instructions,
        ...[tools, format].map((one) => (one === undefined ? '' : JSON.stringify(one))),
      ];
      const tokens = told.reduce(
        (sum, text) => sum + estimate.text(text),
        estimate.items([...past, ...input]),
      );
      return { object: 'response.input_tokens' as const, input_tokens: tokens };
    },
  );
}

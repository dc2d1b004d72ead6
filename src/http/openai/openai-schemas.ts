/** Shapes that the operations of all of OpenAI's APIs have in common, for the OpenAPI document. */

import { Type } from 'typebox';

/** What is read of a request is checked where it is read, and answers have more fields than the document names. */
export const OPEN = { additionalProperties: true };

const nullableText = Type.Union([Type.String(), Type.Null()]);

const ErrorAnswer = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String(),
    param: nullableText,
    code: Type.String(),
  }),
});

/** What is answered where something goes wrong. */
export const openAIErrors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };

/** A page of a list. */
export const OpenAIList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Type.Object({ id: Type.String() }, OPEN)),
  first_id: nullableText,
  last_id: nullableText,
  has_more: Type.Boolean(),
});

/** Which page of a list is wanted. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
  after: Type.Optional(Type.String({ maxLength: 200, description: 'The last id of the page before' })),
};

/** In which order. @param usual where nothing is said */
export const orderQuery = (usual: 'asc' | 'desc') => ({
  order: Type.Optional(Type.Enum(['asc', 'desc'], { default: usual })),
});

/** A chat completion, made now or before. */
export const Completion = Type.Object({ id: Type.String(), object: Type.Literal('chat.completion') }, OPEN);

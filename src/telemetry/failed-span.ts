/** How a span says that its work has failed: by a word of the code's, never by what an error says. */

import { type Span, SpanStatusCode } from '@opentelemetry/api';

/** @param type of few values: a code of the catalogue, or a class of the failure table */
export function failSpan(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  // Without a message: an error's own words may quote the conversation.
  span.setStatus({ code: SpanStatusCode.ERROR });
}

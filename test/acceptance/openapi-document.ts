/**
 * The server's OpenAPI document as a judge of its answers: every status, body and field that a test sees must be
 * one that the document promises. Sends nothing itself.
 */

import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  [field: string]: unknown;
}

export interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
}

export interface Parameter {
  in: 'path' | 'query' | 'header';
  name: string;
  required?: boolean;
  style?: string;
  explode?: boolean;
  schema: object;
}

/** What was answered to a call. */
export interface ObservedAnswer {
  status: number;
  headers: Headers;
  body: unknown;
}

/** What an answer breaks of the document's promises, none if it keeps them. */
export type Judge = (method: string, path: string, answer: ObservedAnswer) => string[];

/** Answers to these are outside the document: it does not describe itself. */
const UNDOCUMENTED = /^\/(openapi\.json|docs(\/.*)?)$/;

const envelope = {
  type: 'object',
  required: ['error', 'request_id'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      additionalProperties: false,
      properties: {
        code: { type: 'string', pattern: '^[a-z_]+$' },
        message: { type: 'string', minLength: 1 },
        details: { type: 'object' },
      },
    },
    // The caller's own, if it is sane, or a uuid.
    request_id: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,128}$' },
  },
};

const openAIEnvelope = {
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      additionalProperties: false,
      properties: {
        message: { type: 'string', minLength: 1 },
        type: { type: 'string', pattern: '^[a-z_]+$' },
        param: { type: ['string', 'null'] },
        code: { type: 'string', pattern: '^[a-z_]+$' },
      },
    },
  },
};

export function createJudge(document: OpenApiDocument): Judge {
  const routes = Object.entries(document.paths).map(([template, operations]) => ({
    pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]*')}$`),
    operations,
  }));
  const problemsOfSchema = createSchemaCheck();
  return judge;

  function judge(method: string, path: string, answer: ObservedAnswer): string[] {
    const pathname = path.split('?', 1)[0] ?? '';
    const problems = answer.status >= 400 ? judgeError(pathname, answer) : [];
    if (!answer.headers.has('x-request-id')) problems.push('there is no X-Request-ID');
    if (UNDOCUMENTED.test(pathname)) return problems;
    const operation = operationAt(method, pathname);
    if (operation !== undefined) problems.push(...judgeBody(operation, answer));
    else if (answer.status < 400) problems.push('the document knows no such operation');
    return problems;
  }

  /** A path that stands there by name comes before one that has a parameter in its place. */
  function operationAt(method: string, pathname: string): Operation | undefined {
    const found = routes.find(({ pattern }) => pattern.test(pathname))?.operations;
    return (document.paths[pathname] ?? found)?.[method.toLowerCase()];
  }

  function judgeError(pathname: string, { headers, body }: ObservedAnswer): string[] {
    if (/^\/v1(\/|$)/.test(pathname)) return problemsOfSchema(openAIEnvelope, body);
    const problems = problemsOfSchema(envelope, body);
    const id = (body as { request_id?: unknown } | null)?.request_id;
    if (id !== headers.get('x-request-id')) problems.push('request_id and X-Request-ID differ');
    return problems;
  }

  function judgeBody({ responses }: Operation, { status, headers, body }: ObservedAnswer): string[] {
    const response = responses[status] ?? responses[`${Math.floor(status / 100)}XX`];
    if (response === undefined) return [`the document knows no status ${status}`];
    const type = headers.get('content-type')?.split(';', 1)[0] ?? null;
    if (response.content === undefined) return body === '' ? [] : ['the document knows no body'];
    const schema = response.content[type ?? '']?.schema;
    if (schema === undefined) return [`the document knows no body of type ${type}`];
    return type === 'application/json' ? problemsOfSchema(schema, body) : [];
  }
}

function createSchemaCheck(): (schema: object, value: unknown) => string[] {
  const compiled = new Map<object, ReturnType<typeof Compile>>();
  return (schema, value) => {
    let validator = compiled.get(schema);
    if (validator === undefined) {
      validator = Compile(closed(schema) as TSchema);
      compiled.set(schema, validator);
    }
    if (validator.Check(value)) return [];
    return validator.Errors(value).map(({ instancePath, message }) => `${instancePath}: ${message}`);
  };
}

/** The schema, refusing fields that it does not name: an answer must not say more than is documented. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return 'properties' in inner && !('additionalProperties' in inner)
    ? { ...inner, additionalProperties: false }
    : inner;
}

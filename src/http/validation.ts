/** Requests against their schemas: every problem at once, each with its place. */

import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { AppError } from '../errors.ts';

/** A body can be wrong in a thousand places; the first few say what is going on. */
const MAX_PROBLEMS = 20;

interface Problem {
  in: string;
  /** JSON pointer to the place. */
  path: string;
  message: string;
}

/** Bodies are taken as they are; the rest of a request is text, in which integers are read. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = 'body' }) => {
  const validator = Compile(schema);
  // The library stops at a few errors by itself, for the whole process.
  Settings.Set({ maxErrors: MAX_PROBLEMS });
  return (given) => {
    const value = httpPart === 'body' ? given : readIntegers(schema, given);
    if (validator.Check(value)) return { value };
    const problems = problemsOf(validator.Errors(value), httpPart);
    return { error: new AppError('invalid_request', { problems }) };
  };
};

/** Only what is written as an integer is one: a looser conversion would take `1.5` for 1 and `true` as well. */
function readIntegers(schema: TSchema, given: unknown): unknown {
  const { properties = {} } = schema as { properties?: Record<string, { type?: unknown }> };
  const value = { ...(given as Record<string, unknown>) };
  for (const [name, text] of Object.entries(value)) {
    const isInteger = Object.hasOwn(properties, name) && properties[name]?.type === 'integer';
    if (isInteger && typeof text === 'string' && /^-?\d+$/.test(text)) value[name] = Number(text);
  }
  return value;
}

type SchemaError = ReturnType<ReturnType<typeof Compile>['Errors']>[number];

function problemsOf(errors: readonly SchemaError[], httpPart: string): Problem[] {
  const problems: Problem[] = [];
  for (const error of errors) {
    // Says of an unknown field only that it matches the schema `false`; `additionalProperties` says it better.
    if (error.keyword === 'boolean') continue;
    if (error.keyword === 'additionalProperties') {
      for (const field of error.params.additionalProperties) {
        problems.push({ in: httpPart, path: `${error.instancePath}/${field}`, message: 'unknown field' });
      }
    } else {
      problems.push({ in: httpPart, path: error.instancePath, message: error.message });
    }
  }
  return problems.slice(0, MAX_PROBLEMS);
}

/** Requests against their schemas: every problem at once, each with its place. */

import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { AppError } from '../errors.ts';

/** A body can be wrong in a thousand places; the first few say what is going on. */
const MAX_PROBLEMS = 20;

/**
 * Elements of a list, and fields of an object, that are looked at for what is wrong with them. More than any schema
 * allows, so that too many of them are still too many; telling problems takes a hundred times as long as finding out
 * that there are any.
 */
const MAX_EXPLAINED = 300;

/** The library stops at a few errors by itself, for the whole process. Each unknown field is one and is told twice. */
const MAX_ERRORS = 1000;

interface Problem {
  in: string;
  /** JSON pointer to the place. */
  path: string;
  message: string;
}

/** Bodies are taken as they are; the rest of a request is text, in which integers are read. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = 'body' }) => {
  Settings.Set({ maxErrors: MAX_ERRORS });
  // Compiled when it is first needed: most servers are never asked most of what can be asked.
  let compiled: Validator | null = null;
  return (given) => {
    const validator = (compiled ??= Compile(schema));
    const value = httpPart === 'body' ? given : readIntegers(schema, given);
    if (validator.Check(value)) return { value };
    const problems = problemsOf(validator.Errors(beginningOf(value)), httpPart);
    // What is wrong comes after all that was looked at.
    if (problems.length === 0) problems.push({ in: httpPart, path: '', message: 'is wrong, and very large' });
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

/** The value with the first of its elements and fields, at every level. */
function beginningOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.slice(0, MAX_EXPLAINED).map(beginningOf);
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, MAX_EXPLAINED)
      .map(([name, inner]) => [name, beginningOf(inner)]),
  );
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

/**
 * The tools of a response, and which of them the model is to choose: functions of the caller's in the words of Chat
 * Completions, and tools of the configured servers. Other tools are refused.
 */

import { AppError } from '../../errors.ts';
import { bodyFields, present } from './body-fields.ts';
import { type Fields, isObject, unsupported, wrong } from './input-items.ts';

/** What a response asks of one configured server. */
export interface McpTool {
  server: string;
  /** Names of tools; null for all of the server's. */
  allowed: readonly string[] | null;
  approval: Approval;
  /** Where it stands in the request. */
  place: string;
}

/** Which calls somebody has to approve: all, none, those of these tools, or all but those. */
type Approval = 'always' | 'never' | { always: readonly string[] } | { never: readonly string[] };

export interface ResponseTools {
  /** In the words of Chat Completions. */
  options: Record<string, unknown>;
  /** Null where the request says nothing of tools. */
  mcp: readonly McpTool[] | null;
  /** As the response shows them again; left out where the request has none. */
  shown: { tools?: readonly unknown[]; tool_choice?: unknown };
}

/** @param body of the request */
export function responseTools(body: Fields): ResponseTools {
  const given = bodyFields(body).list('tools');
  const functions: object[] = [];
  const mcp: McpTool[] = [];
  const shown: object[] = [];
  for (const [index, tool] of (given ?? []).entries()) {
    const place = `tools[${index}]`;
    if (!isObject(tool)) throw wrong(place, 'must be an object');
    if (tool['type'] === 'function') {
      const read = functionTool(tool, place);
      functions.push(read.option);
      shown.push(read.shown);
    } else if (tool['type'] === 'mcp') {
      mcp.push(mcpTool(tool, place));
      shown.push(tool);
    } else {
      const type = JSON.stringify(tool['type'] ?? null);
      throw unsupported(`${place}.type`, `tools of type ${type} are not supported, only function and mcp`);
    }
  }
  const choice = toolChoice(body['tool_choice'] ?? undefined, functions.length + mcp.length > 0);
  return {
    options: {
      ...(functions.length === 0 ? {} : { tools: functions }),
      ...(choice === undefined || functions.length + mcp.length === 0 ? {} : { tool_choice: choice }),
    },
    mcp: given === undefined ? null : mcp,
    shown: {
      ...(shown.length === 0 ? {} : { tools: shown }),
      ...(choice === undefined ? {} : { tool_choice: body['tool_choice'] }),
    },
  };
}

function functionTool(tool: Fields, place: string): { option: object; shown: object } {
  const fields = bodyFields(tool, place);
  fields.only(['type', 'name', 'description', 'parameters', 'strict']);
  const name = fields.text('name');
  if (name === undefined) throw wrong(`${place}.name`, 'must be a text');
  const described = {
    name,
    description: fields.text('description'),
    parameters: fields.object('parameters'),
    strict: fields.flag('strict'),
  };
  const { description = null, parameters = null, strict = null } = described;
  return {
    option: { type: 'function', function: present(described) },
    shown: { type: 'function', name, description, parameters, strict },
  };
}

function mcpTool(tool: Fields, place: string): McpTool {
  const fields = bodyFields(tool, place);
  // A request chooses among the servers of the configuration; where those are, and with which rights, is not its matter.
  fields.only(['type', 'server_label', 'allowed_tools', 'require_approval']);
  const server = fields.text('server_label');
  if (server === undefined) throw wrong(`${place}.server_label`, 'must be a text');
  return {
    server,
    allowed: allowedTools(tool['allowed_tools'] ?? null, `${place}.allowed_tools`),
    approval: approvalOf(tool['require_approval'] ?? 'always', `${place}.require_approval`),
    place,
  };
}

function allowedTools(given: unknown, place: string): readonly string[] | null {
  if (given === null) return null;
  if (!isObject(given)) return names(given, place);
  bodyFields(given, place).only(['tool_names']);
  return names(given['tool_names'], `${place}.tool_names`);
}

function approvalOf(given: unknown, place: string): Approval {
  if (given === 'always' || given === 'never') return given;
  if (!isObject(given)) throw wrong(place, 'must be always, never, or an object with one of them');
  const fields = bodyFields(given, place);
  fields.only(['always', 'never']);
  const [always, never] = [fields.object('always'), fields.object('never')];
  if (always !== undefined) return { always: toolNames(always, `${place}.always`) };
  if (never !== undefined) return { never: toolNames(never, `${place}.never`) };
  throw wrong(place, 'must have always or never');
}

function toolNames(filter: Fields, place: string): readonly string[] {
  bodyFields(filter, place).only(['tool_names']);
  return names(filter['tool_names'], `${place}.tool_names`);
}

function names(given: unknown, place: string): readonly string[] {
  const isList = Array.isArray(given) && given.every((name) => typeof name === 'string');
  if (!isList) throw wrong(place, 'must be a list of names');
  return given;
}

const MODES: ReadonlySet<unknown> = new Set(['none', 'auto', 'required']);

/** The choice in the words of Chat Completions; undefined where there is none. */
function toolChoice(choice: unknown, hasTools: boolean): unknown {
  if (choice === undefined || choice === 'none' || choice === 'auto') return choice;
  if (!hasTools) throw wrong('tool_choice', 'needs tools to choose from');
  if (MODES.has(choice)) return choice;
  if (!isObject(choice)) throw wrong('tool_choice', 'must be none, auto, required, or name a function');
  if (choice['type'] === 'function') return chosenFunction(choice, 'tool_choice');
  if (choice['type'] !== 'allowed_tools') {
    const type = JSON.stringify(choice['type'] ?? null);
    throw unsupported('tool_choice.type', `a choice of type ${type} is not supported`);
  }
  const fields = bodyFields(choice, 'tool_choice');
  const mode = fields.oneOf('mode', ['auto', 'required']) ?? 'auto';
  const tools = (fields.list('tools') ?? []).map((tool, index) =>
    chosenFunction(tool, `tool_choice.tools[${index}]`),
  );
  return { type: 'allowed_tools', allowed_tools: { mode, tools } };
}

function chosenFunction(tool: unknown, place: string): object {
  if (!isObject(tool) || tool['type'] !== 'function') {
    throw unsupported(place, 'only functions of the request can be chosen');
  }
  const name = bodyFields(tool, place).text('name');
  if (name === undefined) throw wrong(`${place}.name`, 'must be a text');
  return { type: 'function', function: { name } };
}

/** A tool of a configured server, by its names. */
export interface KnownTool {
  server: string;
  name: string;
}

/**
 * What a response asks of servers, as patterns of their tools.
 * @param known the tools of all configured servers
 * @param away configured servers whose tools are not known at the moment
 */
export function chosenTools(
  asked: readonly McpTool[],
  known: readonly KnownTool[],
  away: readonly string[],
): { choice: 'none' | readonly string[]; requireApproval: readonly string[] } {
  const choice: string[] = [];
  const requireApproval: string[] = [];
  for (const { server, allowed, approval, place } of asked) {
    const tools = known.filter((tool) => tool.server === server).map(({ name }) => name);
    if (tools.length === 0 && !away.includes(server)) {
      const param = `${place}.server_label`;
      throw new AppError('invalid_request', {
        param,
        reason: `There is no configured server of tools called ${JSON.stringify(server)}.`,
      });
    }
    choice.push(...(allowed === null ? [server] : allowed.map((name) => `${server}.${name}`)));
    if (approval === 'never') continue;
    // Of tools that nobody knows yet, nobody knows which are meant.
    if (approval === 'always' || tools.length === 0) requireApproval.push(server);
    else if ('always' in approval)
      requireApproval.push(...approval.always.map((name) => `${server}.${name}`));
    else {
      const others = tools.filter((name) => !approval.never.includes(name));
      requireApproval.push(...others.map((name) => `${server}.${name}`));
    }
  }
  return { choice: choice.length === 0 ? 'none' : choice, requireApproval };
}

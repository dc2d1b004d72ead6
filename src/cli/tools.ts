/** `parley tools`: the tools of the configured servers, and calling one by hand. It asks the servers, and no Parley. */

import { openTools } from '../composition/opened-tools.ts';
import { version } from '../main.ts';
import { createLog } from '../telemetry/log.ts';
import { shownToolName } from '../tools/tool-names.ts';
import { ToolSourceError } from '../tools/tool-source.ts';
import type { ToolSources } from '../tools/tool-sources.ts';
import { CommandError } from './command-error.ts';
import { EXIT_FAILURE, EXIT_USAGE } from './exit-codes.ts';
import { readConfig } from './read-config.ts';
import { printable, textTable } from './text-table.ts';
import { readToolsRequest, type ToolsRequest } from './tools-request.ts';

const USAGE = `parley tools: the tools of the configured servers

usage:
  parley tools [list] [--json]
  parley tools call SERVER.TOOL [ARGUMENTS] [--json]

ARGUMENTS are a JSON object. A call is made at once, whether or not models would need an approval for it, and ends with 1
if the tool failed. --json prints what there is to know.
`;

/** A program may have to be fetched first. */
const PATIENCE_MILLISECONDS = 60_000;

export async function tools(args: readonly string[]): Promise<void> {
  try {
    const request = readToolsRequest(args);
    if (request.command === 'help') process.stdout.write(USAGE);
    else await run(request);
  } catch (error) {
    if (!(error instanceof CommandError) && !(error instanceof ToolSourceError)) throw error;
    const exitCode = error instanceof CommandError ? error.exitCode : EXIT_FAILURE;
    const said =
      error instanceof ToolSourceError && error.serverMessage !== undefined ? `: ${error.serverMessage}` : '';
    const hint = exitCode === EXIT_USAGE ? 'parley tools --help shows the usage\n' : '';
    process.stderr.write(`parley tools: ${printable(error.message + said)}\n${hint}`);
    process.exitCode = exitCode;
  }
}

async function run(request: Exclude<ToolsRequest, { command: 'help' }>): Promise<void> {
  const config = readConfig();
  if (config === null) return;
  const opened = await openTools(config, version, createLog(config.logLevel, process.stderr));
  try {
    if (request.command === 'list') await list(opened.sources, request.json);
    else await call(opened.sources, request);
  } finally {
    await opened.close?.();
  }
}

async function list(sources: ToolSources, json: boolean): Promise<void> {
  const { tools: found, missing } = await sources.list(sources.all, { patienceMs: PATIENCE_MILLISECONDS });
  if (json) {
    const all = found.map(({ source, tool }) => ({ server: source.name, ...tool }));
    process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  } else if (sources.all.length === 0) {
    process.stdout.write('No server with tools is configured: mcp_servers, or MCP_SERVER_URL.\n');
  } else {
    const rows = found.map(({ source, tool }) => [
      printable(shownToolName(source.name, tool.name)),
      printable(firstLine(tool.description ?? tool.title ?? '')),
    ]);
    process.stdout.write(textTable([['TOOL', 'DESCRIPTION'], ...rows]));
  }
  for (const { error } of missing) process.stderr.write(`${printable(error.message)}\n`);
  if (missing.length > 0) process.exitCode = EXIT_FAILURE;
}

async function call(
  sources: ToolSources,
  request: Extract<ToolsRequest, { command: 'call' }>,
): Promise<void> {
  const { server, tool, args, json } = request;
  const source = sources.get(server);
  if (source === undefined)
    throw new CommandError(`there is no server "${printable(server)}" in the configuration`);
  const result = await source.call(tool, args);
  process.stdout.write(`${json ? JSON.stringify(result, null, 2) : result.text}\n`);
  if (result.isError) process.exitCode = EXIT_FAILURE;
}

function firstLine(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH)}…` : line;
}

/** What a line of a terminal has room for beside a name. */
const LINE_LENGTH = 100;

/** Spans around the calls of tools inside turns, in the words of OpenTelemetry's GenAI conventions. */

import { SpanKind, type Tracer } from '@opentelemetry/api';
import { failSpan } from './failed-span.ts';

/** What is read of a tool, whose contract this room does not know. */
export interface TracedTool {
  /** Its server's name. */
  readonly server: string;
  readonly name: string;
  call(args: Readonly<Record<string, unknown>>, options: object): Promise<{ readonly isError: boolean }>;
}

/** Whoever opens the tools of turns. */
export interface TracedToolboxes {
  open(
    choice: unknown,
    signal: AbortSignal,
    requireApproval?: readonly string[],
  ): Promise<{ find(name: string): TracedTool | undefined }>;
}

/** The same tools, each call of which is a span. What is said to them, and what they answer, is in none. */
export function traceTools<Toolboxes extends TracedToolboxes>(
  toolboxes: Toolboxes,
  tracer: Tracer,
): Toolboxes {
  return { ...toolboxes, open };

  async function open(choice: unknown, signal: AbortSignal, requireApproval?: readonly string[]) {
    const toolbox = await toolboxes.open(choice, signal, requireApproval);
    return {
      ...toolbox,
      find(name: string) {
        const tool = toolbox.find(name);
        return tool && traced(tool, tracer);
      },
    };
  }
}

function traced(tool: TracedTool, tracer: Tracer): TracedTool {
  const { server, name } = tool;
  const attributes = {
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': name,
    'parley.tool.server': server,
  };
  return {
    ...tool,
    call: (args, options) =>
      tracer.startActiveSpan(`execute_tool ${name}`, { kind: SpanKind.CLIENT, attributes }, async (span) => {
        try {
          const result = await tool.call(args, options);
          if (result.isError) failSpan(span, 'tool_error');
          return result;
        } catch (error) {
          failSpan(span, kindOf(error));
          throw error;
        } finally {
          span.end();
        }
      }),
  };
}

/** A word of the contract's, never what an error says. */
function kindOf(error: unknown): string {
  const isKnown = error instanceof Error && 'kind' in error && typeof error.kind === 'string';
  return isKnown ? String(error.kind) : 'internal';
}

/** The providers and routes of the configuration, made, and as others are told of them. */

import type { McpServerConfig } from '../config/mcp-server-list.ts';
import type { RouteConfig } from '../config/route-list.ts';
import type { Config } from '../config/schema.ts';
import type { TargetState } from '../conversation/target-state.ts';
import { createDemo } from '../providers/demo.ts';
import { createMcpChat } from '../providers/mcp-chat.ts';
import { createOpenAI } from '../providers/openai.ts';
import { createOpenAICompatible } from '../providers/openai-compatible/openai-compatible.ts';
import { createOpenRouter } from '../providers/openrouter.ts';
import type { Provider, Providers } from '../providers/provider.ts';
import type { Breakers } from '../routing/breaker.ts';
import { matchesPattern } from '../tools/tool-patterns.ts';
import type { ToolSources } from '../tools/tool-sources.ts';
import { chatServer } from './chat-server.ts';

const startedAt = Date.now();

/**
 * Makes the provider of that name, which must be one of `config.providerNames`.
 * @param sources of all servers that the configuration has
 */
export function providerMaker(config: Config, sources: ToolSources): (name: string) => Provider {
  const { providerMaxConnections: connections } = config;
  return (name) => {
    switch (name) {
      case 'openai':
        return createOpenAI({
          baseUrl: config.openaiBaseUrl,
          apiKey: config.openaiApiKey,
          defaultModel: config.openaiModel,
          connections,
        });
      case 'openrouter':
        return createOpenRouter({
          baseUrl: config.openrouterBaseUrl,
          apiKey: config.openrouterKey,
          defaultModel: config.openrouterModel,
          referer: config.openrouterReferer,
          title: config.openrouterTitle,
          connections,
        });
      case 'demo':
        return createDemo();
      default: {
        const declared = config.providers.find((provider) => provider.name === name);
        if (declared === undefined) return mcpChat(name, config, sources);
        const { model: defaultModel, ...settings } = declared;
        return createOpenAICompatible({ ...settings, defaultModel, modelsHaveSlashes: false, connections });
      }
    }
  };
}

function mcpChat(name: string, { mcpServers }: Config, sources: ToolSources): Provider {
  const server = mcpServers.find((one) => one.name === name);
  const source = sources.get(name);
  const chat = server?.chat ?? null;
  if (server === undefined || source === undefined || chat === null) {
    throw new Error(`no provider is declared as "${name}"`);
  }
  const { requireApproval } = server;
  // Nobody could approve the others in the middle of an answer.
  const mayAnswer = (tool: string) =>
    tool === chat.tool || !requireApproval.some((pattern) => matchesPattern(tool, pattern));
  return createMcpChat({ name, ...chat, server: chatServer(source, mayAnswer), secrets: secretsOf(server) });
}

/** What a server could repeat in what it says of its failures. */
function secretsOf({ reach }: McpServerConfig): string[] {
  const given =
    reach.kind === 'program'
      ? Object.values(reach.env)
      : [...Object.values(reach.headers), reach.apiKey ?? ''];
  return given.filter((value) => value.length >= MIN_SECRET_CHARACTERS);
}

/** Shorter values are no keys, and blanking them would spoil what is said. */
const MIN_SECRET_CHARACTERS = 8;

/** The models that are asked if no caller names another. */
export function configuredModels({ routes }: Config, { all }: Providers): string[] {
  const inRoutes = routes.flatMap(({ targets }) => targets.map(({ model }) => model));
  return [...all.map(({ defaultModel }) => defaultModel), ...inRoutes].filter((model) => model !== null);
}

/** The targets that were asked, and those that would be if nobody chose another model. */
export function knownTargets(breakers: Breakers, { all }: Providers): TargetState[] {
  const asked = breakers.states();
  const others = all.flatMap(({ name: provider, defaultModel: model }): TargetState[] => {
    const isAsked = asked.some((target) => target.provider === provider && target.model === model);
    return model === null || isAsked
      ? []
      : [{ provider, model, state: 'closed', since: startedAt, until: null }];
  });
  return [...asked, ...others];
}

/** A route as clients are shown it, with the models that are really asked. */
export function routeView(providers: Providers) {
  return ({ name, targets }: RouteConfig) => ({
    name,
    targets: targets.map(({ provider, model, weight, contextTokens }) => ({
      provider,
      model: model ?? providers.get(provider).defaultModel ?? '',
      weight,
      context_tokens: contextTokens,
    })),
  });
}

/**
 * The composition root: configuration → store → providers → targets → sessions and turns → HTTP → listen; closed
 * in reverse. Every room gets the slice of the configuration that it needs, and nothing else.
 */

import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Config } from './config/schema.ts';
import type { Session } from './conversation/session.ts';
import { AppError } from './errors.ts';
import { createApp } from './http/app.ts';
import { createDemo } from './providers/demo.ts';
import { createOpenAI } from './providers/openai.ts';
import { createOpenAICompatible } from './providers/openai-compatible/openai-compatible.ts';
import { createOpenRouter } from './providers/openrouter.ts';
import type { Provider, Providers } from './providers/provider.ts';
import { createProviders } from './providers/registry.ts';
import { createTargetSelection } from './routing/targets.ts';
import { createSessions } from './sessions/sessions.ts';
import { openStore } from './stores/open-store.ts';
import { logTurn } from './telemetry/log.ts';
import { createTurns } from './turns/turns.ts';

export interface Parley {
  /** Where it listens, such as `http://127.0.0.1:8000`. */
  url: string;
  providers: Providers;
  /** Turns that a crash had left running, failed at this start. */
  interrupted: number;
  /** Refuses new requests, lets running turns finish for the grace time, and releases everything. */
  close(): Promise<void>;
}

/** Of `package.json`, which stands above the sources as above the compiled files. */
export const version: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;

/** Starts a server and resolves when it listens. Rejects, with everything released, if it cannot. */
export async function startParley(config: Config, log: Logger): Promise<Parley> {
  const opened: (() => Promise<unknown>)[] = [];
  const release = async () => {
    for (const close of opened.reverse()) await close();
  };
  try {
    const store = await openStore(config.databaseUrl, log);
    opened.push(() => store.close());
    const { code, message } = new AppError('server_restarted');
    const interrupted = await store.failInterrupted({ code, message }, Date.now());

    const providers = createProviders(
      config.providerNames.map(providerMaker(config)),
      config.defaultProvider,
    );
    opened.push(() => providers.close());
    const targets = createTargetSelection(providers, config.fallbackProviders);

    const memory = { defaultPlaces: config.memoryDefault, maxPlaces: config.memoryMax };
    const sessions = createSessions({
      store,
      memory,
      checkProviders: targets.check,
      modelOf: (session: Session) => targets.select({ provider: null, model: null }, session)[0].model,
    });
    const turns = createTurns({
      store,
      targets,
      memory,
      clocks: {
        firstTokenMilliseconds: config.providerTimeoutSeconds * 1000,
        idleMilliseconds: config.idleTimeoutSeconds * 1000,
      },
      logBytes: config.turnLogMaxBytes,
      queueMax: config.sessionQueueMax,
      observe: (turn, cause) => logTurn(log, turn, cause),
    });

    const http = await createApp({ sessions, turns, providers, version, log });
    opened.push(() => http.close());
    await http.app.listen({ port: config.port, host: config.host });

    const close = async () => {
      http.refuse();
      await turns.drain(config.shutdownGraceSeconds * 1000);
      await release();
    };
    return { url: urlOf(http.app.server.address() as AddressInfo), providers, interrupted, close };
  } catch (error) {
    await release();
    throw error;
  }
}

function providerMaker(config: Config): (name: string) => Provider {
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
        if (declared === undefined) throw new Error(`no provider is declared as "${name}"`);
        const { model: defaultModel, ...settings } = declared;
        return createOpenAICompatible({ ...settings, defaultModel, modelsHaveSlashes: false, connections });
      }
    }
  };
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

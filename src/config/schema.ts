/**
 * Every setting of Parley, declared once: the type `Config`, the loading, the README's table and the tests of
 * the example files derive from this. A setting's name is the environment variable's; in the YAML it is the
 * same in lower case, in `Config` in camel case.
 */

import type { McpServerConfig } from './mcp-server-list.ts';
import { mcpServerSchema } from './mcp-server-schema.ts';
import { type ProviderConfig, providerSchema } from './provider-list.ts';
import { type RouteConfig, routeTargetSchema } from './route-list.ts';
import {
  apiKeys,
  boolean,
  choice,
  databaseUrl,
  headerPairs,
  headerText,
  host,
  integer,
  name,
  names,
  number,
  origins,
  proxies,
  redisUrl,
  type Setting,
  type SettingValue,
  secret,
  serverUrl,
  text,
  url,
  variableOnly,
  workers,
} from './setting.ts';

/** No wait of the server is meant to last longer than a day; a greater number is a mistake of unit. */
const DAY_SECONDS = 86_400;
const YEAR_SECONDS = 365 * DAY_SECONDS;
/** The smallest step of the timers behind the clocks. */
const MILLISECOND_SECONDS = 0.001;
/** Far more than anybody pays for, and still counted exactly. */
const TOKENS_MAX = 1_000_000_000_000;
/** What is read of an answer that is not streamed; no more of a streamed one can be promised. */
const WHOLE_ANSWER_BYTES = 32 * 1024 * 1024;

export const settings = {
  PORT: integer({
    min: 0,
    max: 65_535,
    default: 8000,
    description: 'TCP port to listen on; 0 takes any free one.',
  }),
  HOST: host({
    default: '127.0.0.1',
    description: 'Address or host name to listen on; beyond loopback it needs a key, or `ALLOW_OPEN`.',
  }),
  WORKERS: workers({
    default: 1,
    description:
      'Processes that serve, on one port: `auto` is one for each core. More than one need a shared store.',
  }),
  ALLOW_OPEN: boolean({
    default: false,
    description:
      'Whether the server may listen beyond loopback without any key, so that everybody there can use it.',
  }),
  ADMIN_PORT: integer({
    min: 0,
    max: 65_535,
    default: null,
    description: 'TCP port of its own for `/admin`, which then is on `PORT` no more; 0 takes any free one.',
  }),
  ADMIN_HOST: host({
    default: null,
    description: 'Address or host name that `ADMIN_PORT` listens on; without it, `HOST`.',
  }),
  CORS_ORIGINS: origins({
    default: [],
    description: 'Web pages that may call the API from a browser, by their origins, or `*` for all.',
  }),
  REQUEST_TIMEOUT_SECONDS: number({
    // Less would refuse requests that are in several packets.
    min: 0.1,
    max: DAY_SECONDS,
    // 4 MiB in this time need half a megabit a second.
    default: 60,
    description: 'Seconds that a client has to send a whole request; its answer may take longer.',
  }),
  CONNECTIONS_MAX: integer({
    min: 1,
    max: 1_000_000,
    // Open streams are connections; each takes a file descriptor and some 10 kB when idle.
    default: 10_000,
    description: 'Connections of clients at most; further ones are closed unanswered.',
  }),

  API_KEYS: apiKeys({
    default: [],
    description: 'Keys of callers, as `name:key,…`; with any key, requests without one are refused.',
  }),
  ADMIN_TOKEN: secret({
    default: null,
    description: 'Token for `/admin`, sent as `X-Admin-Token`; without it there is no administration.',
  }),
  TRUST_PROXY: proxies({
    default: null,
    description:
      'Proxies whose `X-Forwarded-For` is believed: how many stand before the server, or their networks.',
  }),
  RATE_RPS: number({
    // One request in a quarter of an hour; below that somebody means to switch a key off.
    min: 0.001,
    max: 1_000_000,
    default: 1,
    description: 'Requests a second that an address, and likewise a key, may send over time.',
  }),
  RATE_BURST: integer({
    min: 1,
    max: 1_000_000,
    default: 5,
    description: 'Requests that an address, and likewise a key, may send at once after a pause.',
  }),
  RATE_CONCURRENT_TURNS: integer({
    min: 1,
    max: 1_000_000,
    default: null,
    description: 'Turns of a client that may run at the same time; unset sets no limit.',
  }),
  RATE_TOKENS_PER_MINUTE: integer({
    min: 1,
    max: TOKENS_MAX,
    default: null,
    description: 'Tokens that the models of a client take and give in a minute; unset sets no limit.',
  }),
  RATE_TOKENS_PER_DAY: integer({
    min: 1,
    max: TOKENS_MAX,
    default: null,
    description: 'Tokens of a client from midnight to midnight, in UTC; unset sets no limit.',
  }),
  RATE_LIMIT_ON_OUTAGE: choice({
    options: ['local', 'deny'],
    default: 'local',
    description:
      'While the Redis with the limits is out: `local` lets each server limit for itself, `deny` refuses with 503.',
  }),

  OPENAI_API_KEY: secret({ default: null, description: 'Key for OpenAI; setting it adds `openai`.' }),
  OPENAI_BASE_URL: url({
    default: 'https://api.openai.com/v1',
    description: 'Where the API of `openai` is; setting it adds `openai` even without a key.',
  }),
  OPENAI_MODEL: text({
    default: 'gpt-5-mini',
    description: 'Model of `openai` for requests that name none.',
  }),
  OPENROUTER_KEY: secret({ default: null, description: 'Key for OpenRouter; setting it adds `openrouter`.' }),
  OPENROUTER_BASE_URL: url({
    default: 'https://openrouter.ai/api/v1',
    description: 'Where the API of `openrouter` is.',
  }),
  OPENROUTER_MODEL: text({
    default: 'openrouter/auto',
    description: 'Model of `openrouter` for requests that name none.',
  }),
  OPENROUTER_REFERER: headerText({
    default: null,
    description: 'Your site, told to OpenRouter as `HTTP-Referer`.',
  }),
  OPENROUTER_TITLE: headerText({
    default: null,
    description: "Your application's name, told to OpenRouter as `X-Title`.",
  }),
  DEFAULT_PROVIDER: name({
    default: null,
    description: 'Provider used when nobody chooses; without it, the first one configured.',
  }),
  FALLBACK_PROVIDERS: names({
    default: [],
    description: 'Providers tried in this order when the chosen one fails, for sessions that name none.',
  }),
  PROVIDER_TIMEOUT_SECONDS: number({
    min: MILLISECOND_SECONDS,
    max: DAY_SECONDS,
    default: 60,
    description:
      'Seconds that a provider has until the first token, or until the whole answer when not streaming.',
  }),
  IDLE_TIMEOUT_SECONDS: number({
    min: MILLISECOND_SECONDS,
    max: DAY_SECONDS,
    default: 30,
    description: 'Seconds that a provider may be silent in the middle of a stream.',
  }),
  TURN_TIMEOUT_SECONDS: number({
    min: MILLISECOND_SECONDS,
    max: DAY_SECONDS,
    default: 300,
    description: 'Seconds that a turn may take in all, every retry and wait included.',
  }),
  ANSWER_MAX_BYTES: integer({
    // An answer of a few words must pass, or nothing does.
    min: 1024,
    max: WHOLE_ANSWER_BYTES,
    default: WHOLE_ANSWER_BYTES,
    description: 'Bytes of one answer that are taken from a provider (32 MiB); more fails the attempt.',
  }),
  PROVIDER_MAX_CONNECTIONS: integer({
    min: 1,
    // The ports that one address has for connections to another.
    max: 65_535,
    default: 256,
    description: 'Connections kept to each provider at most; further calls wait for one.',
  }),

  MCP_SERVER_URL: serverUrl({
    default: null,
    description: 'Where `mcp` is: a server with tools, or one that answers ([docs/tools.md](docs/tools.md)).',
  }),
  MCP_API_KEY: secret({ default: null, description: 'Key for `mcp`, sent as a bearer token.' }),
  TOOL_STEPS_MAX: integer({
    min: 0,
    // A model that has not found it out by then goes in circles, and each step is a whole prompt.
    max: 100,
    default: 8,
    description: 'Times that a model may ask for tools in one turn before it has to answer.',
  }),
  TOOL_RESULT_MAX_BYTES: integer({
    min: 1024,
    max: 16 * 1024 * 1024,
    // Some 32,000 tokens of English; more than one or two of those drown the conversation.
    default: 128 * 1024,
    description: "Bytes of one tool's result that are kept and shown to the model (128 KiB); more is cut.",
  }),

  DATABASE_URL: databaseUrl({
    default: 'sqlite:data/parley.db',
    description:
      'Where conversations are kept ([Redis](docs/redis.md), [PostgreSQL](docs/postgresql.md)), `REDIS_URL` if only that is set; `memory:` forgets them when the server stops.',
  }),
  REDIS_URL: redisUrl({
    default: null,
    description:
      'Redis that servers share for their limits; without it `DATABASE_URL`, if that is Redis. Else limits are of each server.',
  }),
  MEMORY_DEFAULT: integer({
    min: 1,
    max: 100_000,
    default: 50,
    description:
      'Messages that the model sees, the new one included, for sessions without a limit of their own.',
  }),
  MEMORY_MAX: integer({
    min: 1,
    // What one prompt can sensibly hold; a turn reads this many items at once.
    max: 100_000,
    default: 1000,
    description: 'Messages that a session or a request may ask for as its memory limit at most.',
  }),
  SESSION_QUEUE_MAX: integer({
    min: 0,
    // Each one waiting keeps a connection and its body in memory.
    max: 10_000,
    default: 100,
    description: 'Messages that may wait for a busy session; further ones are refused.',
  }),
  TURN_LOG_MAX_BYTES: integer({
    // Below this not even the events around an answer fit; above it a handful of turns fills the memory.
    min: 1024,
    max: 1024 * 1024 * 1024,
    default: 8 * 1024 * 1024,
    description:
      "Bytes of a running turn's events kept for its readers (8 MiB); slower readers lose the stream.",
  }),
  STORE_TIMEOUT_MS: integer({
    // A round trip within a data centre takes less; a minute is longer than clients wait.
    min: 50,
    max: 60_000,
    default: 2000,
    description: 'Milliseconds after which a call to Redis or PostgreSQL is given up.',
  }),
  TURN_LEASE_SECONDS: number({
    // Below this a busy server would lose its turns to the others.
    min: 1,
    max: 3600,
    default: 10,
    description:
      'Seconds after which a session is free whose turn was run by a server that died; on shared stores.',
  }),
  IDEMPOTENCY_TTL_SECONDS: integer({
    min: 1,
    max: YEAR_SECONDS,
    default: DAY_SECONDS,
    description: 'Seconds that an `Idempotency-Key` is remembered.',
  }),
  SESSION_RETENTION_DAYS: number({
    // About a second, for trying it out.
    min: 0.00001,
    // A hundred years.
    max: 36_500,
    default: null,
    description: 'Days after which sessions that did not change are deleted; unset keeps them.',
  }),

  LOG_LEVEL: choice({
    options: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    default: 'info',
    description: 'The least important lines that are logged.',
  }),
  METRICS_ENABLED: boolean({
    default: true,
    description: 'Whether the server counts what it does and answers `GET /metrics`.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: url({
    default: null,
    description:
      'Where traces are sent by OTLP over HTTP: the URL before `/v1/traces`. Without it, none are made.',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: headerPairs({
    default: [],
    description: 'Headers sent with traces, such as a key, as `name=value,…`.',
  }),
  OTEL_SERVICE_NAME: text({
    default: 'parley',
    description: 'Name of this server in traces.',
  }),
  OTEL_TRACES_SAMPLER_ARG: number({
    min: 0,
    max: 1,
    default: 1,
    description: 'Share of the traces that are kept, where the caller has not decided it.',
  }),
  OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: boolean({
    default: false,
    description: 'Whether traces hold what is said in conversations.',
  }),
  SHUTDOWN_GRACE_SECONDS: number({
    min: 0,
    max: DAY_SECONDS,
    default: 30,
    description: 'Seconds that running turns have to finish when the server is told to stop.',
  }),
  APP_CONFIG_FILE: variableOnly(
    text({
      default: null,
      description:
        'YAML file with settings under their names in lower case; relative to the working directory.',
    }),
  ),
} as const satisfies Record<string, Setting<SettingValue>>;

/** What only the YAML can hold: lists, with the place and the fields of their entries. */
export const lists = {
  providers: { entry: 'providers[]', schema: providerSchema },
  routes: { entry: 'routes.NAME[]', schema: routeTargetSchema },
  mcp_servers: { entry: 'mcp_servers[]', schema: mcpServerSchema },
} as const;

export type SettingName = keyof typeof settings;

export const settingNames = Object.keys(settings) as readonly SettingName[];

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<CamelCase<Tail>>}`
  : Lowercase<Name>;

type ValueOf<Declared> = Declared extends Setting<infer Value> ? Value : never;

/** The settings that are single values. */
export type SettingValues = {
  readonly [Name in SettingName as CamelCase<Name>]: ValueOf<(typeof settings)[Name]>;
};

/** The whole configuration: checked, complete and frozen. */
export interface Config extends SettingValues {
  /** The OpenAI-compatible servers of the YAML, in its order. */
  readonly providers: readonly ProviderConfig[];
  /** The named routes of the YAML, in its order. */
  readonly routes: readonly RouteConfig[];
  /** The servers that offer tools, that of `MCP_SERVER_URL` first. */
  readonly mcpServers: readonly McpServerConfig[];
  /** All providers to be made, in the order of choice (`provider-names.ts`). Never empty. */
  readonly providerNames: readonly string[];
  /** Where the value of each setting came from: `environment`, `.env`, the path of the YAML file, or `default`. */
  readonly sources: Readonly<Record<SettingName, string>>;
}

/** The name of a setting in `Config`: `MEMORY_MAX` is `memoryMax`. */
export function configKey<Name extends SettingName>(name: Name): CamelCase<Name> {
  const key = name.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return key as CamelCase<Name>;
}

/** The name of a setting in the YAML: `MEMORY_MAX` is `memory_max`. */
export function yamlKey(name: SettingName): string {
  return name.toLowerCase();
}

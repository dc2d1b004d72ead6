/** The administration of a running server, by HTTP. */

import type { Config } from '../config/schema.ts';
import { readAnswer } from './admin-answer.ts';
import type { AdminCall } from './admin-call.ts';
import { CommandError } from './command-error.ts';

/** A server answers in milliseconds, unless its disk is in trouble. */
const ANSWER_MILLISECONDS = 10_000;

type Place = Pick<Config, 'host' | 'port' | 'adminHost' | 'adminPort'>;

/** Where the administration of a server with this configuration is; null if only that server knows. */
export function adminUrl(config: Place): string | null {
  const host = config.adminHost ?? config.host;
  const port = config.adminPort ?? config.port;
  if (port === 0) return null;
  // A server that listens everywhere is also here.
  const reached = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

/**
 * Throws a `CommandError` if the configuration does not say where the server is, or not with which token.
 * @param reason why the server is asked, for the messages that say what is missing
 */
export function createServedAdmin(config: Config, reason: string): AdminCall {
  const { adminToken: token } = config;
  const url = adminUrl(config);
  const portName = config.adminPort === null ? 'PORT' : 'ADMIN_PORT';
  if (url === null)
    throw new CommandError(`${reason}, and ${portName}=0 does not say where it listens: set ${portName}`);
  if (token === null) {
    throw new CommandError(
      `${reason}, which is asked with ADMIN_TOKEN: set it for the server and for this command`,
    );
  }

  return async (method, path, body) => {
    const { status, text } = await ask(url + path, {
      method,
      headers: { 'x-admin-token': token, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    try {
      return readAnswer(status, text);
    } catch (error) {
      if (!(error instanceof CommandError))
        throw new CommandError(`what answers at ${url} is no Parley server`);
      // Its own refusals name a header, which whoever typed the command has not sent.
      if (status !== 401) throw error;
      throw new CommandError(
        `the server at ${url} does not take this ADMIN_TOKEN: it must be the server's own`,
      );
    }
  };

  async function ask(address: string, request: RequestInit): Promise<{ status: number; text: string }> {
    try {
      const signal = AbortSignal.timeout(ANSWER_MILLISECONDS);
      // Nobody else is to be given the token.
      const response = await fetch(address, { ...request, signal, redirect: 'error' });
      return { status: response.status, text: await response.text() };
    } catch {
      throw new CommandError(
        `${reason}, and none answers at ${url}: start it, or set ${portName} to where it listens`,
      );
    }
  }
}

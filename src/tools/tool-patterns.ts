/**
 * Patterns of tools: which ones an operator lets through, and which a session chooses. A pattern is a text in which
 * each `*` stands for any number of characters; everything else stands for itself, upper and lower case apart.
 */

import type { ToolChoice } from '../conversation/session.ts';

/** Which tools of a server the configuration lets through. What `deny` names stays out, whatever `allow` says. */
export interface ToolFilter {
  /** Null lets every tool through. */
  readonly allow: readonly string[] | null;
  readonly deny: readonly string[];
  /** The name of a tool that is let through all the same. */
  readonly always?: string | null;
}

/** Whether the filter lets a tool of this name through. */
export function passesFilter(tool: string, { allow, deny, always = null }: ToolFilter): boolean {
  if (tool === always) return true;
  if (deny.some((pattern) => matchesPattern(tool, pattern))) return false;
  return allow === null || allow.some((pattern) => matchesPattern(tool, pattern));
}

/** Whether the choice has any tool of the server, so that the server is worth asking. */
export function choosesServer(server: string, choice: ToolChoice): boolean {
  return choice !== 'none' && choice.some((text) => matchesPattern(server, splitChoice(text).server));
}

/** Whether the choice has this tool of this server. */
export function choosesTool(server: string, tool: string, choice: ToolChoice): boolean {
  if (choice === 'none') return false;
  return choice.some((text) => {
    const chosen = splitChoice(text);
    return matchesPattern(server, chosen.server) && matchesPattern(tool, chosen.tool);
  });
}

/** Whether the text is the pattern's: in time of their lengths' product at worst, however many stars there are. */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let next = 0;
  // Where the last star was, and up to where it is taken to reach; a longer reach is all that ever needs trying.
  let star = -1;
  let reach = 0;
  while (at < text.length) {
    if (pattern[next] === '*') {
      star = next;
      next += 1;
      reach = at;
    } else if (next < pattern.length && pattern[next] === text[at]) {
      at += 1;
      next += 1;
    } else if (star >= 0) {
      next = star + 1;
      reach += 1;
      at = reach;
    } else {
      return false;
    }
  }
  while (pattern[next] === '*') next += 1;
  return next === pattern.length;
}

/** Names of servers have no dots, so the first one ends the server's part. */
function splitChoice(text: string): { server: string; tool: string } {
  const dot = text.indexOf('.');
  return dot < 0 ? { server: text, tool: '*' } : { server: text.slice(0, dot), tool: text.slice(dot + 1) };
}

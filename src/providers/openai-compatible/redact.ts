/** Makes a provider's text fit to be logged and, for the caller's own errors, shown. */

/** Enough for every message a provider writes by itself; what is longer quotes the request. */
const MAX_CHARACTERS = 500;

const BEARER = /\bBearer\s+[^\s"',;]+/gi;
const OPENAI_KEY = /\bsk-[^\s"',;]+/g;

/** A function that blanks these secrets, and whatever looks like a key, and cuts to 500 characters. */
export function createRedact(secrets: readonly string[]): (text: string) => string {
  return (text) => {
    let redacted = text;
    for (const secret of secrets) redacted = redacted.replaceAll(secret, '***');
    return redacted.replace(BEARER, 'Bearer ***').replace(OPENAI_KEY, 'sk-***').slice(0, MAX_CHARACTERS);
  };
}

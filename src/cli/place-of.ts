/** A store's location as it is shown to people. */

const FILE = 'sqlite:';

/** Where it is, without whatever the location may say of users, passwords and options. Of several hosts all are named. */
export function placeOf(location: string): string {
  if (location.startsWith(FILE)) return location.slice(FILE.length);
  const [, scheme = '', rest = ''] = /^([a-z]+:\/\/)(.*)$/s.exec(location) ?? [];
  // A password that is not encoded may hold any of these: what comes after the last @ holds none.
  return scheme + (rest.slice(rest.lastIndexOf('@') + 1).split(/[?#]/, 1)[0] ?? '');
}

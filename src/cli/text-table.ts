/** Rows as a table for people. */

/** Lines, each with its newline, whose columns begin below each other. @param rows the head first */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** Names and notes come from others; a terminal obeys some characters. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?');
}

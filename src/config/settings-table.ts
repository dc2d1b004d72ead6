/** The README's table of settings, made from the schema. */

import { lists, settingNames, settings } from './schema.ts';
import type { Setting, SettingValue } from './setting.ts';

/** The table as Markdown lines, without a newline at the end. */
export function renderSettingsTable(): string {
  const rows = settingNames.map((name) => {
    const setting: Setting<SettingValue> = settings[name];
    return row(`\`${name}\``, shownDefault(setting), setting.description, setting.expects);
  });
  for (const { entry, schema } of Object.values(lists)) {
    const required: readonly string[] = schema.required;
    for (const [field, fieldSchema] of Object.entries(schema.properties)) {
      const presence = required.includes(field) ? 'required' : '';
      const description = 'description' in fieldSchema ? String(fieldSchema.description) : '';
      rows.push(row(`\`${entry}.${field}\``, presence, description, 'in the YAML only'));
    }
  }
  return [row('Setting', 'Default', 'What it is', 'Values'), '|---|---|---|---|', ...rows].join('\n');
}

/** A text with the table put between its markers. Throws if it has none. */
export function insertSettingsTable(readme: string): string {
  const between = /(<!-- settings -->\n)[^]*?(<!-- \/settings -->)/;
  if (!between.test(readme))
    throw new Error('the text has no <!-- settings --> … <!-- /settings --> markers');
  return readme.replace(between, (_, begin: string, end: string) => {
    return `${begin}\n${renderSettingsTable()}\n\n${end}`;
  });
}

function shownDefault(setting: Setting<SettingValue>): string {
  const text = setting.default === null ? '' : String(setting.default);
  return text === '' ? '' : `\`${text}\``;
}

function row(...cells: string[]): string {
  return `| ${cells.map(escaped).join(' | ')} |`;
}

/** Text as Markdown shows it: no cell ends early, and nothing is taken for HTML. */
function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

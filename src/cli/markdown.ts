const GENERATED = '<!-- Written by `npm run docs` from the declarations in src: edit those. -->';

/** A generated page: its title, where it comes from, and its parts; empty ones are left out. */
export const page = (title: string, ...parts: readonly string[]): string =>
  [`# ${title}`, GENERATED, ...parts.filter(Boolean)].join('\n\n').concat('\n');

/** A table without the columns in which no row has anything. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const used = heads.map((_, column) => rows.some((row) => row[column] !== ''));
  const line = (cells: readonly string[]) =>
    `| ${cells
      .filter((_, column) => used[column])
      .map((text) => text.replaceAll('|', '\\|'))
      .join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A link to the page of a plugin, from the page of another. */
export const linkTo = (name: string): string => `[${name}](${name.toLowerCase()}.md)`;

/** Words as code, with commas between. */
export const codes = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(', ');

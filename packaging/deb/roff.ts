/** Writes text as roff with the macros of man(7). Knows no page. */

/** Escapes text so that roff prints it as it is. @param text may have several lines. */
export function plain(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\e')
    // Roff prints a bare `-` as a hyphen, which cannot be pasted into a shell.
    .replaceAll('-', '\\-')
    // Roff prints them as quotation marks and accents.
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll(
      /[^\x20-\x7e\n]/gu,
      (char) => `\\[u${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    );
  // A dot at the beginning of a line would be a request.
  return escaped.replaceAll(/^\./gm, '\\&.');
}

export function bold(text: string): string {
  return `\\fB${plain(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${plain(text)}\\fR`;
}

/** Sentences in Markdown: `code` becomes bold. Hyphens inside words stay hyphens. */
export function prose(markdown: string): string {
  return markdown
    .split('`')
    .map((part, index) => (index % 2 === 1 ? bold(part) : plain(part).replaceAll(/(?<=[A-Za-z])\\-(?=[A-Za-z])/g, '-')))
    .join('');
}

/** Argument of a macro. */
function quoted(text: string): string {
  return `"${plain(text).replaceAll('"', '\\(dq')}"`;
}

/** The first line of a page. @param date day of the release, YYYY-MM-DD. */
export function title(name: string, chapter: number, date: string, version: string): string {
  return `.TH ${quoted(name.toUpperCase())} ${chapter} ${date} ${quoted(`reveille ${version}`)} "Reveille manual"`;
}

export function heading(text: string): string {
  return `.SH ${quoted(text.toUpperCase())}`;
}

export function subheading(text: string): string {
  return `.SS ${quoted(text)}`;
}

/** A paragraph with a tag in front of it. Both are roff already. */
export function tagged(tag: string, text: string): string {
  return `.TP\n${tag}\n${text}`;
}

/** Lines that are printed as they are. */
export function example(lines: readonly string[]): string {
  return ['.EX', ...lines.map(plain), '.EE'].join('\n');
}

/** A section whose parts are paragraphs. Nothing if there are no parts. */
export function section(name: string, parts: readonly string[]): string[] {
  return parts.length === 0
    ? []
    : [
        heading(name),
        ...parts.flatMap((part, index) => (index === 0 || part.startsWith('.') ? [part] : ['.PP', part])),
      ];
}

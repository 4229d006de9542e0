/** Text as the man macros want it: nothing of it can be taken for a request, and hyphens can be copied from the screen. */

/** Running text or a word. */
export function plain(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\(rs")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replace(/[\u0080-\u{10ffff}]/gu, (letter) => `\\[u${hex(letter)}]`);
  return escaped.replace(/^\./gm, "\\&.");
}

function hex(letter: string): string {
  return (letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}

export function bold(text: string): string {
  return `\\fB${plain(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${plain(text)}\\fR`;
}

/** The line that every page begins with. It has no date, so that a page only changes with what it says. */
export function header(name: string, section: number): string {
  return `.TH "${plain(name.toUpperCase())}" "${section}" "" "litecd" "litecd manual"\n`;
}

export function section(title: string, body: string): string {
  return body === "" ? "" : `.SH "${plain(title.toUpperCase())}"\n${body}`;
}

export function subsection(title: string, body: string): string {
  return `.SS "${plain(title)}"\n${body}`;
}

/** A term and what it means. */
export function item(term: string, meaning: string): string {
  return `.TP\n${term}\n${meaning}\n`;
}

/** Paragraphs from text with blank lines between them. */
export function paragraphs(text: string): string {
  return text
    .split(/\n{2,}/)
    .map((part) => `${plain(part.trim())}\n`)
    .join(".PP\n");
}

/** Lines that stay as they are. */
export function verbatim(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `.RS 4\n.nf\n${lines.map((line) => `${plain(line)}\n`).join("")}.fi\n.RE\n`;
}

/** Names of pages with their sections, as the last lines of a page. */
export function seeAlso(pages: readonly (readonly [name: string, section: number])[]): string {
  return `${pages.map(([name, number]) => `${bold(name)}(${number})`).join(",\n")}\n`;
}

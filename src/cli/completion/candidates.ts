/** What a shell is offered: words with remarks, and what the shell may do besides (spec/cli.md 11.1). */
export interface Candidate {
  readonly word: string;
  /** What it is, in a line; may be empty. */
  readonly note: string;
}

/** Bits that end the answer; the same as in the scripts that etcdctl's own completion makes. */
export const Directive = {
  /** Files, as the shell offers them. */
  Files: 0,
  NoFiles: 4,
  DirectoriesOnly: 16,
  KeepOrder: 32,
} as const;

export interface Offer {
  readonly candidates: readonly Candidate[];
  readonly directive: number;
}

/** One candidate a line, and the directive in the last one. */
export function offerText({ candidates, directive }: Offer, notes: "notes" | "words"): string {
  const lines = candidates.map(({ word, note }) => {
    return note === "" || notes === "words" ? word : `${word}\t${note.split("\n")[0]}`;
  });
  return [...lines, `:${directive}\n`].join("\n");
}

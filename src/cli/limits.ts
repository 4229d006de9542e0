/** How long calls wait that have no deadline: the ones of spec/cli.md 5.1 that wait for ever on a dead endpoint. */
export const withoutLimit = { timeoutMs: Number.POSITIVE_INFINITY } as const;

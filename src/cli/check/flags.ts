/** The flags that both checks have. */
import { boolean, type FlagValues, text } from "../flags.js";

/** `name` is the check's: its keys stand under a prefix with that name. */
export function checkFlags(name: "perf" | "datascale") {
  return {
    "auto-compact": boolean("compact the history up to the last write of the check"),
    "auto-defrag": boolean("defragment the storage of the endpoints after the check"),
    load: text("size of the work: s (small), m (medium), l (large) or xl (xLarge)", { initial: "s" }),
    prefix: text("prefix of the keys that the check writes, and deletes", { initial: `/etcdctl-check-${name}/` }),
  } as const;
}

export type CheckValues = FlagValues<ReturnType<typeof checkFlags>>;

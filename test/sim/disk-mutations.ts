/** Mistakes about what a disk keeps, and about what a client may believe, as changes of our source; see mutations.ts. */
import type { Mutation } from "./mutations.js";

export const diskMutations: readonly Mutation[] = [
  {
    name: "empty-disk-begins",
    finds: ["empty disk"],
    seeds: 5,
    minutes: 2,
    bug: "a member that has lost its data begins anew under its old id, and forgets its votes",
    only: ["emptyDisk"],
    patches: [
      {
        file: "src/server/config/bootstrap.ts",
        find: "return clientUrls.length > 0 ?",
        replace: "return clientUrls.length < 0 ?",
      },
    ],
  },
  {
    name: "name-not-synced",
    finds: ["failure"],
    seeds: 5,
    minutes: 2,
    bug: "the pointer names a file whose name in the directory was never synced",
    only: ["defrag", "power", "cutWrite"],
    patches: [
      {
        file: "src/server/storage/state-store.ts",
        find: "this.read(() => syncDirectory(dirname(path)));",
        replace: "dirname(path);",
      },
    ],
  },
  {
    name: "copy-not-synced",
    finds: ["failure", "state machine", "invariant"],
    seeds: 5,
    minutes: 2,
    bug: "the pointer names a file whose bytes were never synced",
    only: ["defrag", "power", "cutWrite"],
    patches: [{ file: "src/server/storage/state-store.ts", find: "this.read(() => syncFile(path));", replace: "" }],
  },
  {
    name: "lock-not-looked-again",
    finds: ["lock lost", "lock two holders"],
    seeds: 5,
    minutes: 2,
    bug: "who waited for a lock does not look whether its own key is still there (Jepsen 2020)",
    patches: [
      {
        file: "test/sim/clients/lock-client.ts",
        find: "if (own.kvs.length === 0) {",
        replace: "if (own.kvs.length < 0) {",
      },
    ],
  },
];

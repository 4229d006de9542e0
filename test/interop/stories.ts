/** What a user does with etcdctl, as stories that any tool can play against any server that starts empty. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Session } from "./session.js";

export interface Story {
  readonly name: string;
  /** Texts that the transcript holds if the story went as it should, whoever plays it. */
  readonly shows: readonly string[];
  play(session: Session, directory: string): Promise<void>;
}

const keys: Story = {
  name: "put, get and del",
  shows: ["bravo", "OK", '"kvs":[{"key":"YQ=="'],
  async play(session) {
    await session.run(["put", "a", "alpha"]);
    await session.run(["put", "a", "again", "--prev-kv"]);
    await session.run(["put", "b"], "bravo");
    for (const key of ["dir/1", "dir/2", "dir/3"]) await session.run(["put", key, `value of ${key}`]);
    await session.run(["get", "a"]);
    await session.run(["get", "a", "--rev=2"]);
    await session.run(["get", "a", "-w", "json"]);
    await session.run(["get", "a", "-w", "fields"]);
    await session.run(["get", "dir/", "--prefix", "--limit=2"]);
    await session.run(["get", "dir/", "--prefix", "--order=DESCEND", "--sort-by=MODIFY", "--keys-only"]);
    await session.run(["get", "a", "dir/2", "--print-value-only"]);
    await session.run(["get", "b", "--from-key", "--count-only", "--write-out=fields"]);
    await session.run(["get", "b", "--consistency=s", "--hex"]);
    await session.run(["get", "nothing"]);
    await session.run(["put", "b", "--ignore-value", "--ignore-lease"]);
    await session.run(["del", "dir/1", "dir/3", "--prev-kv"]);
    await session.run(["del", "nothing"]);
    await session.run(["del", "", "--prefix", "-w", "json"]);
    await session.run(["get", "", "--prefix", "-w", "json"]);
  },
};

const transactions: Story = {
  name: "txn",
  shows: ["SUCCESS", "FAILURE", '"succeeded":true'],
  async play(session) {
    await session.run(["put", "stock", "3"]);
    const sale = 'value("stock") = "3"\nversion("stock") > "0"\n\nput stock 2\nput sold 1\n\nget stock\n\n';
    await session.run(["txn"], sale);
    await session.run(["txn"], sale);
    await session.run(
      ["txn", "-w", "json"],
      'create("fresh") = "0"\n\nput fresh yes\nget stock\ndel sold\n\nget fresh\n\n',
    );
    await session.run(["txn"], 'mod("stock") < "9"\n\nget "" --prefix\n\n\n');
    await session.run(["txn"], "\nput twice 1\nput twice 2\n\n\n");
    await session.run(["get", "", "--prefix"]);
  },
};

const watching: Story = {
  name: "watch",
  shows: ["PUT\nw/1\none\nPUT\nw/2\ntwo\nDELETE\nw/1\n", "w/1\none\nw/1\nmore"],
  async play(session) {
    const all = session.start(["watch", "w/", "--prefix", "--rev=2"]);
    const deletes = session.start(["watch", "w/1", "--rev=1", "--prev-kv"]);
    await session.run(["put", "w/1", "one"]);
    await session.run(["put", "w/2", "two"]);
    await session.run(["del", "w/1"]);
    await all.says("DELETE\nw/1\n");
    await deletes.says("DELETE\nw/1\none\n");
    await session.run(["put", "w/1", "one"]);
    await session.run(["put", "w/1", "more"]);
    await all.says("PUT\nw/1\nmore\n");
    await deletes.says("w/1\none\nw/1\nmore\n");
    await session.run(["txn"], "\nput w/3 three\nput w/4 four\n\n\n");
    await all.says("PUT\nw/4\nfour\n");
    await session.end(all, "SIGINT");
    await session.end(deletes, "SIGINT");
    const past = session.start(["watch", "w/", "w0", "--rev=3", "-w", "json"]);
    await past.says("dy80");
    await session.end(past, "SIGINT");
  },
};

/** The lease id in what `lease grant` prints. */
function idOf(text: string): string {
  return /^lease (\w+) granted/.exec(text)?.[1] ?? "none";
}

const busyWatch: Story = {
  name: "watch that is busy",
  shows: ["busy\nvalue 12\n"],
  async play(session) {
    // Go's gRPC measures the connection with a ping whenever data comes in: a server must not take that for abuse.
    const watch = session.start(["watch", "busy", "--rev=2"]);
    for (let count = 1; count <= 12; count++) {
      await session.run(["put", "busy", `value ${count}`]);
      await watch.says(`value ${count}\n`);
    }
    await session.end(watch, "SIGINT");
  },
};

const leases: Story = {
  name: "lease",
  shows: ["granted with TTL(300s)", "revoked", "already expired", "DELETE\nsession\n"],
  async play(session) {
    const long = idOf(await session.run(["lease", "grant", "300"]));
    await session.run(["put", "leased", "value", `--lease=${long}`]);
    await session.run(["put", "leased/too", "value", `--lease=${long}`]);
    await session.run(["get", "leased", "-w", "json"]);
    await session.run(["lease", "list"]);
    await session.run(["lease", "keep-alive", "--once", long]);
    await session.run(["lease", "revoke", long]);
    await session.run(["get", "leased", "--prefix"]);
    await session.run(["lease", "revoke", long]);
    await session.run(["lease", "timetolive", long]);
    await session.run(["put", "leased", "value", `--lease=${long}`]);
    await session.run(["lease", "list"]);
    const short = idOf(await session.run(["lease", "grant", "2"]));
    const expiry = session.start(["watch", "session", "--rev=4"]);
    await session.run(["put", "session", "alive", `--lease=${short}`]);
    // The empty value has a line of its own, which etcdctl writes after the key's.
    await expiry.says("DELETE\nsession\n\n");
    await session.end(expiry, "SIGINT");
    await session.run(["get", "session"]);
  },
};

const compaction: Story = {
  name: "compaction",
  shows: ["compacted revision 4", "required revision has been compacted", "required revision is a future revision"],
  async play(session) {
    for (const value of ["1", "2", "3", "4", "5"]) await session.run(["put", "c", value]);
    await session.run(["compaction", "4"]);
    await session.run(["get", "c", "--rev=3"]);
    await session.run(["get", "c", "--rev=4"]);
    await session.run(["get", "c", "--rev=99"]);
    await session.run(["compaction", "4"]);
    await session.run(["compaction", "99"]);
    await session.run(["compaction", "6", "--physical"]);
    await session.run(["get", "c"]);
    const late = session.start(["watch", "c", "--rev=2"]);
    await session.end(late);
  },
};

const snapshot: Story = {
  name: "snapshot and upkeep",
  shows: ["Snapshot saved at saved.db", "is healthy: successfully committed proposal", "Finished defragmenting"],
  async play(session, directory) {
    await session.run(["put", "kept", "value"]);
    await session.run(["snapshot", "save", "saved.db"]);
    const { size } = await stat(join(directory, "saved.db"));
    if (size < 4096) throw new Error(`a snapshot of ${size} bytes holds nothing`);
    await session.run(["endpoint", "health"]);
    await session.run(["alarm", "list"]);
    await session.run(["alarm", "disarm"]);
    await session.run(["defrag"]);
    await session.run(["get", "kept", "-w", "json"]);
  },
};

const locking: Story = {
  name: "lock",
  shows: ["held", "exit of the command"],
  async play(session) {
    const holder = session.start(["lock", "resource"]);
    await holder.says("resource/");
    await session.run(["get", "resource/", "--prefix", "--keys-only"]);
    const waiter = session.start(["lock", "resource", "echo", "held"]);
    await session.end(holder, "SIGINT");
    await session.end(waiter);
    await session.run(["lock", "resource", "--", "sh", "-c", "echo exit of the command; exit 7"]);
    await session.run(["get", "resource", "--prefix"]);
  },
};

const electing: Story = {
  name: "elect",
  shows: ["first candidate", "second candidate"],
  async play(session) {
    const first = session.start(["elect", "office", "first candidate"]);
    await first.says("first candidate\n");
    const listener = session.start(["elect", "-l", "office"]);
    await listener.says("first candidate\n");
    const second = session.start(["elect", "office", "second candidate"]);
    await session.end(first, "SIGINT");
    await second.says("second candidate\n");
    await listener.says("second candidate\n");
    await session.end(second, "SIGINT");
    await session.end(listener, "SIGINT");
    await session.run(["get", "office", "--prefix"]);
  },
};

const mirroring: Story = {
  name: "make-mirror",
  shows: ["DELETE\ncopy/1\n\nPUT\ncopy/3\nthree\nPUT\ncopy/4\nfour\n", '"key":"Y29weS8y","create_revision":5'],
  async play(session) {
    await session.run(["put", "m/1", "one"]);
    await session.run(["put", "m/2", "two"]);
    const mirror = session.start(["make-mirror", session.endpoint, "--prefix=m/", "--dest-prefix=copy/"]);
    const copies = session.start(["watch", "copy/", "--prefix", "--rev=1"]);
    await copies.says("copy/2\ntwo\n");
    await session.run(["txn"], "\ndel m/1\nput m/3 three\nput m/4 four\n\n\n");
    await copies.says("copy/4\nfour\n");
    await session.end(mirror, "SIGINT");
    await session.end(copies, "SIGINT");
    await session.run(["get", "copy/", "--prefix", "-w", "json"]);
  },
};

export const stories: readonly Story[] = [
  keys,
  transactions,
  watching,
  busyWatch,
  leases,
  compaction,
  snapshot,
  locking,
  electing,
  mirroring,
];

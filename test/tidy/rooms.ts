/**
 * The one table of who may import whom, and the one table of who may use which package. The longest prefix wins.
 * A room may always import itself; a file that no row covers is a violation, so that a new room is a decision.
 */

export interface Room {
  readonly prefix: string;
  /** Prefixes of what it may import, besides itself. */
  readonly mayImport: readonly string[];
}

const invariant = "src/server/invariant.ts";
const runtime = "src/server/runtime/";
const raftTypes = "src/server/raft/types.ts";
/** What the replica asks of those who carry its messages: they import the seam, and nothing behind it. */
const replicaPeers = "src/server/replica/peers.ts";
/** The bytes of a membership change: pure, and read by the state machine and by the core alike. */
const raftChange = "src/server/raft/change.ts";

/** Files of src/server/ itself: the faces, and what builds every room and plugs them together. They see all of the server. */
const compositionRoot = [
  "assemble.ts",
  "authentication.ts",
  "bootstrap.ts",
  "cluster-version.ts",
  "durable.ts",
  "first-election.ts",
  "front-door.ts",
  "index.ts",
  "main.ts",
  "member-metrics.ts",
  "member.ts",
  "publish.ts",
  "security.ts",
  "server.ts",
];

export const rooms: readonly Room[] = [
  { prefix: "proto/", mayImport: [] },

  { prefix: "src/client/", mayImport: ["proto/"] },
  // What is built on the SDK stands on its public face, as a user's code would.
  ...["cache", "concurrency", "discovery", "mirror", "otel"].map((room) => ({
    prefix: `src/client/${room}/`,
    mayImport: ["src/client/index.ts"],
  })),
  // etcdutl's commands work on files at rest, through the one face that the server has for them.
  { prefix: "src/cli/", mayImport: ["src/client/index.ts", "src/server/offline/index.ts", "proto/"] },

  { prefix: invariant, mayImport: [] },
  { prefix: runtime, mayImport: [] },
  // What TLS is told is a part of the config; what it does is not.
  { prefix: "src/server/config/", mayImport: [runtime, "src/server/tls/types.ts"] },
  // Certificates and handshakes, for the ports of both kinds and for the calls of members.
  { prefix: "src/server/tls/", mayImport: [runtime] },
  { prefix: "src/server/testing/", mayImport: ["src/server/", "src/client/index.ts", "proto/"] },
  // Files at rest: snapshots and data directories of members that do not run. No threads, no network, no Raft.
  {
    prefix: "src/server/offline/",
    mayImport: [runtime, "src/server/config/", "src/server/storage/", "src/server/state/", "proto/"],
  },
  { prefix: "src/server/dev/", mayImport: ["src/server/config/"] },
  { prefix: "src/server/raft/", mayImport: [invariant] },
  { prefix: "src/server/storage/", mayImport: [invariant, raftTypes] },
  { prefix: "src/server/state/", mayImport: [invariant, raftTypes, raftChange, "src/server/storage/", "proto/"] },
  { prefix: "src/server/watch/", mayImport: [invariant, "src/server/state/", "proto/"] },
  {
    prefix: "src/server/replica/",
    mayImport: [invariant, runtime, "src/server/raft/", "src/server/storage/", "src/server/state/", "proto/"],
  },
  {
    prefix: "src/server/peer/",
    mayImport: [invariant, runtime, raftTypes, replicaPeers, "src/server/tls/", "proto/"],
  },
  {
    prefix: "src/server/api/",
    mayImport: [invariant, runtime, "src/server/replica/", "src/server/state/", "src/server/watch/", "proto/"],
  },
  { prefix: "src/server/rpc/", mayImport: [invariant, runtime, "src/server/api/", "proto/"] },
  { prefix: "src/server/http/", mayImport: [invariant, runtime, "src/server/api/", "proto/"] },
  { prefix: "src/server/listen/", mayImport: [] },

  ...compositionRoot.map((file) => ({ prefix: `src/server/${file}`, mayImport: ["src/server/", "proto/"] })),
];

/** Where each package may be named. A package that is not in the table may be named nowhere. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  "@bufbuild/protobuf": ["proto/", "src/"],
  // The resolver is a part of the user's own gRPC clients: it speaks to grpc-js' registry and to no server.
  "@grpc/grpc-js": ["src/client/connection/grpc-", "src/client/discovery/resolver.ts"],
  // Its names are part of the otel sub-path's face; nobody else asks for it.
  "@opentelemetry/api": ["src/client/otel/"],
  "@oclif/core": ["src/cli/"],
  "@peculiar/x509": ["src/server/tls/self-signed.ts", "src/server/testing/"],
  "better-sqlite3": ["src/server/storage/"],
  "cli-table3": ["src/cli/output/"],
  inquirer: ["src/cli/"],
  // Only where tokens are made: a server without jwt never loads it.
  jose: ["src/server/api/auth/jwt-tokens.ts"],
  "prom-client": ["src/server/http/"],
  "reflect-metadata": ["src/server/tls/self-signed.ts"],
  tinyqueue: ["src/server/replica/"],
  yaml: ["src/cli/", "src/server/config/"],
};

/** Rooms that know nothing of the world: no clock, no randomness, no I/O of their own. */
export const pureRooms: readonly string[] = ["src/server/raft/", "src/server/state/"];

/** Rooms that never suspend: what holds at the top of a function still holds at its end. */
export const synchronousRooms: readonly string[] = [
  "src/server/raft/",
  "src/server/storage/",
  "src/server/state/",
  "src/server/watch/",
];

/** The row that rules a path: the one with the longest prefix. */
export function roomOf(path: string): Room | undefined {
  return rooms
    .filter((room) => path.startsWith(room.prefix))
    .toSorted((a, b) => b.prefix.length - a.prefix.length)
    .at(0);
}

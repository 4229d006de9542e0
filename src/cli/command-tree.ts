/** etcdctl's tree of commands: every leaf is a file of `commands/`, loaded when it is called. */
import type { Config } from "@oclif/core";
import type { BaseCommand } from "./base-command.js";
import { endpointGroupFlags, type FlagTable, globalFlags } from "./flags.js";
import type { CommandNode } from "./input/resolve-command.js";

export interface CommandClass {
  new (argv: string[], config: Config): BaseCommand;
  readonly summary?: string | undefined;
  readonly usage?: string | readonly string[] | undefined;
  readonly description?: string | undefined;
  readonly examples?: readonly unknown[] | undefined;
  readonly flags: Readonly<Record<string, OclifFlag>>;
}

/** What a command tells oclif of a flag. */
interface OclifFlag {
  readonly type: string;
  readonly char?: string;
  readonly summary?: string;
  readonly default?: unknown;
}

/** A command. */
export interface Leaf extends CommandNode {
  readonly kind: "command";
  readonly title: Title;
  readonly load: () => Promise<{ readonly default: CommandClass }>;
}
/** Whatever can stand under a word. */
export type Node = Leaf | Group | HelpNode;

/** Commands under one word. */
export interface Group extends CommandNode {
  readonly kind: "group";
  readonly title: Title;
  readonly summary: string;
  readonly children: Readonly<Record<string, Node>>;
}
/** `help` is answered by the entry point, which knows the whole tree. */
export interface HelpNode extends CommandNode {
  readonly kind: "help";
  readonly title: Title;
}
export interface Root extends CommandNode {
  readonly kind: "root";
  readonly children: Readonly<Record<string, Node>>;
}

/** Headings of the root help. */
export const titles = {
  keyValue: "Key-value commands",
  cluster: "Cluster maintenance commands",
  concurrency: "Concurrency commands",
  auth: "Authentication commands",
  utility: "Utility commands",
} as const;
export type Title = keyof typeof titles;

function leaf(title: Title, load: Leaf["load"]): Leaf {
  return { kind: "command", title, load };
}

function group(title: Title, summary: string, children: Record<string, Leaf["load"]>, flags: FlagTable = {}): Group {
  const leaves = Object.entries(children).map(([name, load]) => [name, leaf(title, load)] as const);
  return { kind: "group", title, summary, flags, children: Object.fromEntries(leaves) };
}

/** etcdutl, for files at rest. */
const offlineTool: Group = {
  kind: "group",
  program: "etcdutl",
  title: "utility",
  summary: "etcdutl: works on snapshots and data directories, without a server",
  children: {
    completion: leaf("utility", () => import("./commands/utl/completion.js")),
    defrag: leaf("utility", () => import("./commands/utl/defrag.js")),
    hashkv: leaf("utility", () => import("./commands/utl/hashkv.js")),
    help: { kind: "help", title: "utility" },
    migrate: leaf("utility", () => import("./commands/utl/migrate.js")),
    snapshot: group("utility", "Manages etcd node snapshots", {
      restore: () => import("./commands/utl/snapshot/restore.js"),
      status: () => import("./commands/utl/snapshot/status.js"),
    }),
    version: leaf("utility", () => import("./commands/utl/version.js")),
  },
};

export const commandTree: Root = {
  kind: "root",
  flags: globalFlags,
  children: {
    alarm: group("cluster", "Alarm related commands", {
      disarm: () => import("./commands/alarm/disarm.js"),
      list: () => import("./commands/alarm/list.js"),
    }),
    auth: group("auth", "Enable or disable authentication", {
      disable: () => import("./commands/auth/disable.js"),
      enable: () => import("./commands/auth/enable.js"),
      status: () => import("./commands/auth/status.js"),
    }),
    check: group("utility", "Commands for checking properties of the etcd cluster", {
      datascale: () => import("./commands/check/datascale.js"),
      perf: () => import("./commands/check/perf.js"),
    }),
    compaction: leaf("keyValue", () => import("./commands/compaction.js")),
    completion: leaf("utility", () => import("./commands/completion.js")),
    defrag: leaf("cluster", () => import("./commands/defrag.js")),
    del: leaf("keyValue", () => import("./commands/del.js")),
    downgrade: group("cluster", "Downgrade related commands", {
      cancel: () => import("./commands/downgrade/cancel.js"),
      enable: () => import("./commands/downgrade/enable.js"),
      validate: () => import("./commands/downgrade/validate.js"),
    }),
    elect: leaf("concurrency", () => import("./commands/elect.js")),
    endpoint: group(
      "cluster",
      "Endpoint related commands",
      {
        hashkv: () => import("./commands/endpoint/hashkv.js"),
        health: () => import("./commands/endpoint/health.js"),
        status: () => import("./commands/endpoint/status.js"),
      },
      endpointGroupFlags,
    ),
    get: leaf("keyValue", () => import("./commands/get.js")),
    help: { kind: "help", title: "utility" },
    lease: group("keyValue", "Lease related commands", {
      grant: () => import("./commands/lease/grant.js"),
      "keep-alive": () => import("./commands/lease/keep-alive.js"),
      list: () => import("./commands/lease/list.js"),
      revoke: () => import("./commands/lease/revoke.js"),
      timetolive: () => import("./commands/lease/timetolive.js"),
    }),
    lock: leaf("concurrency", () => import("./commands/lock.js")),
    "make-mirror": leaf("utility", () => import("./commands/make-mirror.js")),
    member: group("cluster", "Membership related commands", {
      add: () => import("./commands/member/add.js"),
      list: () => import("./commands/member/list.js"),
      promote: () => import("./commands/member/promote.js"),
      remove: () => import("./commands/member/remove.js"),
      update: () => import("./commands/member/update.js"),
    }),
    "move-leader": leaf("cluster", () => import("./commands/move-leader.js")),
    options: leaf("utility", () => import("./commands/options.js")),
    put: leaf("keyValue", () => import("./commands/put.js")),
    role: group("auth", "Role related commands", {
      add: () => import("./commands/role/add.js"),
      delete: () => import("./commands/role/delete.js"),
      get: () => import("./commands/role/get.js"),
      "grant-permission": () => import("./commands/role/grant-permission.js"),
      list: () => import("./commands/role/list.js"),
      "revoke-permission": () => import("./commands/role/revoke-permission.js"),
    }),
    snapshot: group("cluster", "Snapshots of a member's data", {
      restore: () => import("./commands/snapshot/restore.js"),
      save: () => import("./commands/snapshot/save.js"),
      status: () => import("./commands/snapshot/status.js"),
    }),
    txn: leaf("keyValue", () => import("./commands/txn.js")),
    user: group("auth", "User related commands", {
      add: () => import("./commands/user/add.js"),
      delete: () => import("./commands/user/delete.js"),
      get: () => import("./commands/user/get.js"),
      "grant-role": () => import("./commands/user/grant-role.js"),
      list: () => import("./commands/user/list.js"),
      passwd: () => import("./commands/user/passwd.js"),
      "revoke-role": () => import("./commands/user/revoke-role.js"),
    }),
    utl: offlineTool,
    version: leaf("utility", () => import("./commands/version.js")),
    watch: leaf("keyValue", () => import("./commands/watch.js")),
  },
};

/** Flags as data: the kinds there are, the global table, and what parsed flags look like (spec/cli.md 2). */

interface FlagBase<Kind extends string, Value> {
  readonly kind: Kind;
  readonly initial: Value;
  readonly short?: string;
  /** What the help says. */
  readonly summary: string;
}
export type BooleanFlag = FlagBase<"boolean", boolean>;
/** A 64-bit integer in Go's literal syntax, signed unless it says otherwise. */
export type IntegerFlag = FlagBase<"integer", bigint> & { readonly sign?: "unsigned" };
export type StringFlag = FlagBase<"string", string>;
/** Nanoseconds. */
export type DurationFlag = FlagBase<"duration", bigint>;
/** Comma separated; a repeated flag appends, its first use replaces the default. */
export type ListFlag = FlagBase<"list", readonly string[]>;

export type Flag = BooleanFlag | IntegerFlag | StringFlag | DurationFlag | ListFlag;
export type FlagValue = Flag["initial"];
/** Flags by their long name. */
export type FlagTable = Readonly<Record<string, Flag>>;
export type FlagValues<Table extends FlagTable> = { readonly [Name in keyof Table]: Table[Name]["initial"] };

export function boolean(summary: string, options: { short?: string; initial?: boolean } = {}): BooleanFlag {
  return { kind: "boolean", summary, initial: false, ...options };
}

export function integer(summary: string, options: { initial?: bigint; sign?: "unsigned" } = {}): IntegerFlag {
  return { kind: "integer", summary, initial: 0n, ...options };
}

export function text(summary: string, options: { short?: string; initial?: string } = {}): StringFlag {
  return { kind: "string", summary, initial: "", ...options };
}

export function duration(summary: string, seconds: bigint): DurationFlag {
  return { kind: "duration", summary, initial: seconds * 1_000_000_000n };
}

export function list(summary: string, initial: readonly string[]): ListFlag {
  return { kind: "list", summary, initial };
}

/** Valid before and after every command; each has its ETCDCTL_* variable. */
export const globalFlags = {
  "auth-jwt-token": text("token to send instead of logging in"),
  cacert: text("verify certificates of TLS servers with this CA bundle"),
  cert: text("identify to the server with this TLS certificate file"),
  "command-timeout": duration("time for a short command, without its prompts", 5n),
  debug: boolean("show what the client does, on stderr"),
  "dial-timeout": duration("time to connect when logging in", 2n),
  "discovery-srv": text("domain name to look up SRV records of the servers in", { short: "d" }),
  "discovery-srv-name": text("service name to ask for with DNS discovery"),
  endpoints: list("servers to talk to", ["127.0.0.1:2379"]),
  hex: boolean("print byte strings in hex"),
  "insecure-discovery": boolean("accept insecure SRV records", { initial: true }),
  "insecure-skip-tls-verify": boolean("do not verify the server's certificate (for tests only)"),
  "insecure-transport": boolean("use no TLS unless an endpoint or a file asks for it", { initial: true }),
  "keepalive-time": duration("interval of keep-alive pings", 2n),
  "keepalive-timeout": duration("time to wait for the answer to a ping", 6n),
  key: text("identify to the server with this TLS key file"),
  "max-recv-bytes": integer("largest response in bytes; 0 is 2147483647"),
  "max-request-bytes": integer("largest request in bytes; 0 is 2 MiB"),
  password: text("password; then --user is the name alone"),
  user: text("name[:password]; asks for the password if there is none"),
  "write-out": text("output format: simple, fields, json, protobuf or table", { short: "w", initial: "simple" }),
} as const satisfies FlagTable;

export type GlobalValues = FlagValues<typeof globalFlags>;

/** `--cluster` of the group `endpoint`; commands of the group inherit it, so it has a variable too. */
export const endpointGroupFlags = {
  cluster: boolean("ask every member of the cluster's member list"),
} as const satisfies FlagTable;

/** The variable that stands for a flag. */
export function environmentName(flagName: string): string {
  return `ETCDCTL_${flagName.toUpperCase().replaceAll("-", "_")}`;
}

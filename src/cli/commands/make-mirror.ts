/** `make-mirror`: copies keys to another cluster and follows their changes (spec/cli.md 8.20). */
import { setTimeout as delay } from "node:timers/promises";
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { badArguments } from "../exit-code.js";
import { boolean, type FlagValues, type GlobalValues, integer, text } from "../flags.js";
import { bytesOf } from "../input/byte-text.js";
import type { Mirror, MirrorPlan } from "../mirror.js";
import { humanSize } from "../output/human.js";
import { ProgressLine } from "../output/progress-line.js";
import { askPassword } from "../prompt.js";
import { beforeDying } from "../signals.js";
import { writeOut } from "../terminal.js";

const flags = {
  "dest-cacert": text("verify certificates of the destination with this CA bundle"),
  "dest-cert": text("identify to the destination with this TLS certificate file"),
  "dest-insecure-transport": boolean("use no TLS with the destination unless it or a file asks for it", {
    initial: true,
  }),
  "dest-key": text("identify to the destination with this TLS key file"),
  "dest-password": text("password at the destination; then --dest-user is the name alone"),
  "dest-prefix": text("prefix at the destination, in place of --prefix"),
  "dest-user": text("name[:password] at the destination; asks for the password if there is none"),
  "max-txn-ops": integer("most operations in one transaction at the destination", { initial: 128n, sign: "unsigned" }),
  "no-dest-prefix": boolean("strip the prefix at the destination"),
  prefix: text("copy the keys with this prefix only"),
  rev: integer("copy only changes from this revision on, if it is above 1"),
} as const;
type Values = FlagValues<typeof flags>;

/** Between the totals on stdout. */
const totalMs = 30_000;

export default class MakeMirror extends BaseCommand<typeof flags> {
  static override summary = "Makes a mirror at the destination etcd cluster";
  static override description =
    "Copies the keys of --endpoints to the destination, and then every change, until it is interrupted.\n" +
    "Prints every 30 s how many changes were copied. Values are copied and leases are not; keys that only the\n" +
    "destination has stay there.";
  static override usage = "make-mirror [options] <destination>";
  static override examples = ["litectl make-mirror --prefix /config/ --dest-prefix /copy/ 10.0.0.7:2379"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: values }: Call<typeof flags>): Promise<void> {
    const [address] = args;
    if (address === undefined || args.length !== 1) throw badArguments("make-mirror takes one destination argument");
    if (values["dest-prefix"] !== "" && values["no-dest-prefix"]) {
      throw badArguments("`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one");
    }
    await using source = await this.connect();
    const { Session } = await import("../session.js");
    const { printer } = source;
    const there = await destinationValues(address, values, source.values);
    await using destination = await Session.open({ values: there, given: new Map(), printer });
    await Promise.all([source.reach(), destination.reach()]);
    const { Mirror: MirrorClass } = await import("../mirror.js");
    await report(new MirrorClass(source.client, destination.raw, planOf(values)));
  }
}

function planOf(values: Values): MirrorPlan {
  const { prefix, rev } = values;
  const destPrefix = values["dest-prefix"] === "" && !values["no-dest-prefix"] ? prefix : values["dest-prefix"];
  return {
    prefix: bytesOf(prefix),
    destPrefix: bytesOf(destPrefix),
    since: rev > 1n ? rev : undefined,
    opsMax: Number(values["max-txn-ops"]),
  };
}

/** The global flags as the destination sees them: its own address, certificates and user. */
async function destinationValues(address: string, values: Values, common: GlobalValues): Promise<GlobalValues> {
  return {
    ...common,
    endpoints: address.split(","),
    "discovery-srv": "",
    "auth-jwt-token": "",
    cacert: values["dest-cacert"],
    cert: values["dest-cert"],
    key: values["dest-key"],
    "insecure-transport": values["dest-insecure-transport"],
    "insecure-skip-tls-verify": false,
    ...(await userAndPassword(values)),
  };
}

async function userAndPassword(values: Values): Promise<{ user: string; password: string }> {
  const { "dest-user": user, "dest-password": password } = values;
  if (user === "" || password !== "" || user.includes(":")) return { user, password };
  return { user: `${user}:${await askPassword("Destination Password: ")}`, password: "" };
}

/** Runs the mirror, which ends only by throwing, and tells how far it is: a total on stdout, more on a terminal. */
async function report(mirror: Mirror): Promise<never> {
  using progress = new ProgressLine(rateOf(mirror));
  const forget = beforeDying(() => progress.clear());
  const ending = new AbortController();
  try {
    return await Promise.race([mirror.run(), totals(mirror, progress, ending.signal)]);
  } finally {
    ending.abort();
    forget();
  }
}

async function totals({ state }: Mirror, progress: ProgressLine, signal: AbortSignal): Promise<never> {
  for (;;) {
    await delay(totalMs, undefined, { signal });
    progress.clear();
    await writeOut(`${state.changes}\n`);
  }
}

/** A text of what happened since it was last asked for. */
function rateOf({ state }: Mirror): () => string {
  let before = { changes: 0, atMs: performance.now() };
  return () => {
    const now = { changes: state.changes, atMs: performance.now() };
    const perSecond = Math.round(((now.changes - before.changes) * 1_000) / (now.atMs - before.atMs));
    before = now;
    const where = state.phase === "base" ? "copying what is there" : `following, at revision ${state.revision}`;
    return `${where}: ${state.changes} changes, ${humanSize(BigInt(state.sizeBytes))}, ${perSecond}/s`;
  };
}

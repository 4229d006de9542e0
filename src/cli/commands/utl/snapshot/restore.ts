/** `utl snapshot restore`: a data directory for a new cluster, made from a snapshot (spec/cli.md 9.2). */
import { type Call, oclifFlags } from "../../../base-command.js";
import { badArguments, ExitCode, Failure } from "../../../exit-code.js";
import { boolean, type FlagValues, integer, text } from "../../../flags.js";
import { InputError } from "../../../input/go-number.js";
import { type ClusterMember, restoreCluster } from "../../../input/restore-cluster.js";
import { hexId } from "../../../output/human.js";
import { writeLog } from "../../../terminal.js";
import { offline, UtlCommand, utlGlobalFlags } from "../../../utl-command.js";

const flags = {
  "bump-revision": integer("how much to raise the latest revision", { sign: "unsigned" }),
  "data-dir": text("directory to write; <name>.etcd by default"),
  "initial-advertise-peer-urls": text("peer URLs of this member", { initial: "http://localhost:2380" }),
  "initial-cluster": text("members of the new cluster", { initial: "default=http://localhost:2380" }),
  "initial-cluster-token": text("token of the new cluster; goes into the ids", { initial: "etcd-cluster" }),
  "initial-memory-map-size": integer("accepted and without effect: SQLite maps no memory here", {
    initial: 10_737_418_240n,
    sign: "unsigned",
  }),
  "mark-compacted": boolean("mark the raised revision as compacted (goes together with --bump-revision)"),
  name: text("name of this member", { initial: "default" }),
  "skip-hash-check": boolean("do not check the digest (for a file that was copied from a data directory)"),
  "wal-dir": text("refused with exit code 4: there are no WAL files, the log lies in the data directory"),
} as const;
export type RestoreFlags = typeof flags;

export default class UtlSnapshotRestore extends UtlCommand<typeof flags> {
  static override summary = "Restores an etcd member snapshot to an etcd directory";
  static override usage = "utl snapshot restore <filename> [options]";
  static override description =
    "Writes a data directory that a litecd starts from as a member of a new cluster, with the snapshot's keys, leases and\n" +
    "users and with ids of its own. Every member of the cluster is restored from the same snapshot with the same\n" +
    "--initial-cluster. Alarms are not restored. A file of etcd's own (bbolt) is refused with exit code 4.";
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: values }: Call<typeof flags>): Promise<void> {
    const [snapshot] = args;
    if (snapshot === undefined || args.length !== 1) {
      throw badArguments("snapshot restore requires exactly one argument");
    }
    if (values["bump-revision"] > 0n !== values["mark-compacted"]) {
      throw badArguments("--mark-compacted required if --revision-bump > 0");
    }
    const dataDir = values["data-dir"] === "" ? `${values.name}.etcd` : values["data-dir"];
    const initialCluster = clusterOf(values);
    await writeLog("info", "restoring snapshot", { path: snapshot, "data-dir": dataDir });
    const { clusterId, memberId } = await offline((face) =>
      face.restoreSnapshot({
        snapshot,
        dataDir,
        walDir: values["wal-dir"] === "" ? undefined : values["wal-dir"],
        initialCluster,
        name: values.name,
        clusterToken: values["initial-cluster-token"],
        hashCheck: values["skip-hash-check"] ? "skip" : "check",
        bumpRevision: values["bump-revision"],
      }),
    );
    const ids = { "cluster-id": hexId(clusterId), "local-member-id": hexId(memberId) };
    await writeLog("info", "restored snapshot", { path: snapshot, "data-dir": dataDir, ...ids });
  }
}

function clusterOf(values: FlagValues<typeof flags>): readonly ClusterMember[] {
  try {
    return restoreCluster(values);
  } catch (error) {
    if (error instanceof InputError) throw new Failure(ExitCode.Error, error.message);
    throw error;
  }
}

/** `snapshot save`: one member's data as a file (spec/cli.md 8.13). */
import { createHash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments, ExitCode, Failure } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";
import type { Session } from "../../session.js";
import { openFailure, systemText } from "../../system-text.js";
import { writeOut } from "../../terminal.js";

const flags = {} as const;
const digestBytes = 32;
/** Databases come in whole pages of at least this; what is over must be the digest. */
const pageBytesMin = 512;

export default class SnapshotSave extends BaseCommand<typeof flags> {
  static override summary = "Stores an etcd node backend snapshot to a given file";
  static override usage = "snapshot save <filename>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [path] = args;
    if (path === undefined || args.length !== 1) throw badArguments("snapshot save expects one argument <filename>");
    await using session = await this.connect();
    const { endpoints } = session;
    if (endpoints.length !== 1) {
      const list = `[${endpoints.join(" ")}]`;
      throw interrupted(`snapshot must be requested to one selected node, not multiple ${list}`);
    }
    const version = await save(session, path);
    await writeOut(`Snapshot saved at ${path}\n${version === "" ? "" : `Server version ${version}\n`}`);
  }
}

function interrupted(message: string, cause?: unknown): Failure {
  return new Failure(ExitCode.Interrupted, message, { cause });
}

/** Writes beside the target and renames, so that a file of that name is always whole. Returns the server's version. */
async function save(session: Session, path: string): Promise<string> {
  const part = `${path}.part`;
  const file = await open(part, "w", 0o600).catch((error: unknown) => {
    throw interrupted(`could not open ${part} (${openFailure(part, error)})`);
  });
  try {
    const version = await receive(session, file);
    await file.sync();
    await file.close();
    await rename(part, path);
    return version;
  } catch (error) {
    await file.close();
    await rm(part, { force: true });
    throw session.failure(error, ExitCode.Interrupted);
  }
}

/** Streams the snapshot into the file and checks its digest. Throws Failure (5). */
async function receive(session: Session, file: FileHandle): Promise<string> {
  const options = session.isDeadlineGiven ? session.deadline() : withoutLimit;
  const hash = createHash("sha256");
  let held: Uint8Array = Buffer.alloc(0);
  let sizeBytes = 0;
  let version = "";
  for await (const response of session.raw.maintenance.snapshot({}, options)) {
    await write(file, response.blob);
    sizeBytes += response.blob.length;
    version = response.version === "" ? version : response.version;
    // The digest is not part of what it covers, so the last bytes wait until more have come.
    const seen = Buffer.concat([held, response.blob]);
    hash.update(seen.subarray(0, -digestBytes));
    held = seen.subarray(-digestBytes);
  }
  if (sizeBytes % pageBytesMin !== digestBytes) throw interrupted(`sha256 checksum not found [bytes: ${sizeBytes}]`);
  if (!hash.digest().equals(held)) throw interrupted("the snapshot does not match its sha256 checksum");
  return version;
}

async function write(file: FileHandle, blob: Uint8Array): Promise<void> {
  try {
    await file.writeFile(blob); // at the file's position: appends
  } catch (error) {
    throw interrupted(`could not write snapshot: ${systemText(error)}`);
  }
}

/** Candidates that only the cluster knows: keys by prefix, members, leases, users and roles. */
import { createClient, type RawClient } from "../../client/index.js";
import { openConnection } from "../connection.js";
import type { FlagValue, GlobalValues } from "../flags.js";
import { bytesOf } from "../input/byte-text.js";
import { keyRange } from "../input/key-range.js";
import { hexId, leaseId } from "../output/human.js";
import type { Candidate } from "./candidates.js";
import type { Source } from "./kinds.js";

export interface Question {
  readonly source: Source;
  /** What the candidates are to begin with. */
  readonly partial: string;
  readonly values: GlobalValues;
  readonly given: ReadonlyMap<string, FlagValue>;
  readonly timeoutMs: number;
}

/** More than a screen is nothing to choose from. */
const keyCountMax = 200n;

/** Asks one member. Rejects if it does not answer in time or refuses. */
export async function askCluster(question: Question): Promise<readonly Candidate[]> {
  const { values, given, timeoutMs, source, partial } = question;
  if (needsAnswers(values)) return [];
  const { endpoints, options, address } = await openConnection(values, given);
  await using client = createClient({ ...options, endpoints: endpoints.map(address) });
  return await sources[source](client.raw, partial, { timeoutMs });
}

/** A completion cannot ask for a password, nor tell which of the endpoints it found it did not trust. */
function needsAnswers(values: GlobalValues): boolean {
  const isPasswordMissing =
    values.user !== "" && !values.user.includes(":") && values.password === "" && values["auth-jwt-token"] === "";
  return isPasswordMissing || (values["discovery-srv"] !== "" && !values["insecure-discovery"]);
}

type Ask = (raw: RawClient, partial: string, limit: { timeoutMs: number }) => Promise<readonly Candidate[]>;

const sources: Readonly<Record<Source, Ask>> = {
  keys: async (raw, partial, limit) => {
    const range = keyRange({ key: partial, prefix: true });
    const { kvs } = await raw.kv.range({ ...range, keysOnly: true, serializable: true, limit: keyCountMax }, limit);
    return kvs.flatMap(({ key }) => typeable(key));
  },
  members: async (raw, _, limit) => {
    const { members } = await raw.cluster.memberList({ linearizable: false }, limit);
    return members.map(({ ID, name, clientURLs }) => ({
      word: hexId(ID),
      note: [name, ...clientURLs].filter((part) => part !== "").join(" "),
    }));
  },
  leases: async (raw, _, limit) => {
    const { leases } = await raw.lease.leaseLeases({}, limit);
    return leases.map(({ ID }) => ({ word: leaseId(ID), note: "" }));
  },
  roles: async (raw, _, limit) => (await raw.auth.roleList({}, limit)).roles.map(named),
  users: async (raw, _, limit) => (await raw.auth.userList({}, limit)).users.map(named),
};

function named(word: string): Candidate {
  return { word, note: "" };
}

/** A key that can stand on a command line: text, and nothing in it that a shell's line or our own lines end at. */
function typeable(key: Uint8Array): readonly Candidate[] {
  const word = Buffer.from(key).toString();
  const isText = word !== "" && !/\p{Cc}/u.test(word) && Buffer.compare(key, bytesOf(word)) === 0;
  return isText ? [named(word)] : [];
}

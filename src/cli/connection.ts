/** From global flags to client options: endpoints, TLS files, DNS discovery, login (spec/cli.md 4). */
import { promises as dns } from "node:dns";
import { readFileSync } from "node:fs";
import { type ClientOptions, createClient, isEtcdError, type TlsOptions } from "../client/index.js";
import { badArguments, ExitCode, Failure } from "./exit-code.js";
import type { FlagValue, GlobalValues } from "./flags.js";
import { errorText } from "./output/error-text.js";
import { askPassword } from "./prompt.js";
import { openFailure } from "./system-text.js";
import { writeError } from "./terminal.js";

/** What every client of this process has in common: everything but who it is and where it connects. */
export interface Connection {
  /** As they were written; outputs keep the spelling. */
  readonly endpoints: readonly string[];
  readonly options: Omit<ClientOptions, "endpoints">;
  /** An endpoint with the scheme that the client is to use. */
  readonly address: (endpoint: string) => string;
}

const megabyte = 1024 * 1024;
/** A ping more often than this makes servers hang up. */
const keepAliveMsMin = 10_000;

export function milliseconds(nanoseconds: bigint): number {
  return Math.max(0, Number(nanoseconds) / 1_000_000);
}

/** Reads files, asks DNS and prompts for a password as the flags demand, and logs in. Throws Failure. */
export async function openConnection(values: GlobalValues, given: ReadonlyMap<string, FlagValue>): Promise<Connection> {
  const discovered = await discover(values);
  const named = values.endpoints.map((endpoint) => endpoint.trim()).filter((endpoint) => endpoint !== "");
  const endpoints = discovered.length > 0 ? discovered : named;
  const secure = usesTls(endpoints[0] ?? "", values);
  const tls = tlsOptions(values, given);
  const address = (endpoint: string): string => addressOf(endpoint, secure);
  const options: Omit<ClientOptions, "endpoints"> = {
    ...(secure ? { tls } : {}),
    routing: "spread",
    requireLeader: false, // only a watch asks for a leader
    retry: { maxAttempts: Number.POSITIVE_INFINITY }, // deadlines decide
    connectTimeoutMs: 3_000,
    keepAlive: {
      timeMs: Math.max(keepAliveMsMin, milliseconds(values["keepalive-time"])),
      timeoutMs: milliseconds(values["keepalive-timeout"]),
    },
    requestBytesMax: Number(values["max-request-bytes"]) || 2 * megabyte,
    log: () => {}, // etcdctl prints answers and errors, and nothing else
  };
  const auth =
    endpoints.length === 0 ? undefined : await login(values, { ...options, endpoints: endpoints.map(address) });
  return { endpoints, options: auth === undefined ? options : { ...options, auth }, address };
}

/** The first endpoint decides for all; a bare one leaves it to the flags. */
function usesTls(first: string, values: GlobalValues): boolean {
  if (/^(?:https|unixs):/.test(first)) return true;
  if (first.startsWith("http:")) return false;
  const files = [values.cert, values.key, values.cacert].some((file) => file !== "");
  return files || values["insecure-skip-tls-verify"] || !values["insecure-transport"];
}

function addressOf(endpoint: string, secure: boolean): string {
  const socket = /^unixs?:(?:\/\/)?(.*)$/.exec(endpoint)?.[1];
  if (socket !== undefined) return `${secure ? "unixs" : "unix"}:${socket}`;
  return `${secure ? "https" : "http"}://${endpoint.replace(/^https?:\/\//, "")}`;
}

/** Throws the exit-128 failures of spec/cli.md 4.2. */
function tlsOptions(values: GlobalValues, given: ReadonlyMap<string, FlagValue>): TlsOptions {
  for (const name of ["cert", "key", "cacert"] as const) {
    if (given.has(name) && values[name] === "") throw badArguments(`empty string is passed to --${name} option`);
  }
  const { cert, key, cacert } = values;
  if ((cert === "") !== (key === "")) {
    throw badArguments(`KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`);
  }
  return {
    ...(cert === "" ? {} : { cert: pem(cert), key: pem(key) }),
    ...(cacert === "" ? {} : { ca: pem(cacert) }),
    ...(values["insecure-skip-tls-verify"] ? { insecureSkipVerify: true } : {}),
    ...(values["discovery-srv"] !== "" && !values["insecure-discovery"] ? { serverName: values["discovery-srv"] } : {}),
  };
}

function pem(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw badArguments(openFailure(file, error));
  }
}

/** Endpoints from SRV records; none without `--discovery-srv`. Throws Failure if both lookups fail. */
async function discover(values: GlobalValues): Promise<readonly string[]> {
  const domain = values["discovery-srv"];
  if (domain === "") return [];
  const suffix = values["discovery-srv-name"] === "" ? "" : `-${values["discovery-srv-name"]}`;
  const services = [
    { scheme: "https", record: `_etcd-client-ssl${suffix}._tcp.${domain}` },
    { scheme: "http", record: `_etcd-client${suffix}._tcp.${domain}` },
  ];
  const lookups = await Promise.allSettled(services.map(({ record }) => dns.resolveSrv(record)));
  const failed = lookups.flatMap((lookup, index) => {
    return lookup.status === "rejected"
      ? [`lookup ${services[index]?.record} on ${dns.getServers()[0]}: no such host`]
      : [];
  });
  if (failed.length === services.length) {
    throw new Failure(ExitCode.Error, `dns lookup errors: ${failed.join(" and ")}`);
  }
  const found = lookups.flatMap((lookup, index) => {
    if (lookup.status === "rejected") return [];
    return lookup.value.map(({ name, port }) => `${services[index]?.scheme}://${name}:${port}`);
  });
  return values["insecure-discovery"] ? found : secureOnly(found);
}

async function secureOnly(found: readonly string[]): Promise<readonly string[]> {
  for (const endpoint of found.filter((one) => one.startsWith("http:"))) {
    await writeError(`ignoring discovered insecure endpoint "${endpoint}"`);
  }
  return found.filter((endpoint) => !endpoint.startsWith("http:"));
}

/** A token: as given, or from a login. None without a user, or if the server has authentication off. */
async function login(values: GlobalValues, options: ClientOptions): Promise<ClientOptions["auth"]> {
  if (values["auth-jwt-token"] !== "") return { token: values["auth-jwt-token"] };
  if (values.user === "") return undefined;
  const { name, password } = await userAndPassword(values);
  const authenticate = async (): Promise<string> => {
    await using client = createClient(options);
    const timeoutMs = milliseconds(values["dial-timeout"]);
    return (await client.raw.auth.authenticate({ name, password }, { timeoutMs })).token;
  };
  let first: string | undefined;
  try {
    first = await authenticate();
  } catch (error) {
    if (isEtcdError(error, "AuthNotEnabled")) return undefined;
    throw new Failure(ExitCode.BadConnection, errorText(error), { cause: error });
  }
  // The client asks for a token now, and again when the server has forgotten it.
  return {
    token: async () => {
      const token = first ?? (await authenticate());
      first = undefined;
      return token;
    },
  };
}

async function userAndPassword({ user, password }: GlobalValues): Promise<{ name: string; password: string }> {
  if (password !== "") return { name: user, password };
  const colon = user.indexOf(":");
  if (colon === -1) return { name: user, password: await askPassword("Password: ") };
  return { name: user.slice(0, colon), password: user.slice(colon + 1) };
}

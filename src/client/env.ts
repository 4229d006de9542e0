/** Client options from the variables that etcdctl reads (spec/cli.md 3). */
import type { ClientOptions, PasswordAuth, TlsOptions, TokenAuth } from "./options.js";

type Environment = Readonly<Record<string, string | undefined>>;

const endpointDefault = "127.0.0.1:2379";
/** A server hangs up on pings that come more often than this. */
const keepAliveMsMin = 10_000;
const keepAliveTimeoutMsDefault = 6_000;

/**
 * What ETCDCTL_* says, as options: ENDPOINTS or DISCOVERY_SRV (which wins) with DISCOVERY_SRV_NAME, CACERT, CERT, KEY,
 * INSECURE_SKIP_TLS_VERIFY, INSECURE_TRANSPORT, INSECURE_DISCOVERY, USER (`name` or `name:password`), PASSWORD (USER is
 * then the whole name), AUTH_JWT_TOKEN (which wins over both), DIAL_TIMEOUT, COMMAND_TIMEOUT, KEEPALIVE_TIME,
 * KEEPALIVE_TIMEOUT, MAX_REQUEST_BYTES. As with etcdctl, an empty variable is none, and a number, duration or truth
 * value that cannot be read counts as none. Where a variable is not set, the SDK's own default holds, not etcdctl's.
 * Throws a TypeError for a user without a password, and for a certificate without its key.
 */
export function optionsFromEnv(env: Environment = process.env): ClientOptions {
  const get = (name: string): string | undefined => env[`ETCDCTL_${name}`] || undefined;
  const timeoutMs = milliseconds(get("COMMAND_TIMEOUT"));
  const connectTimeoutMs = milliseconds(get("DIAL_TIMEOUT"));
  const requestBytesMax = wholeNumber(get("MAX_REQUEST_BYTES"));
  const tls = tlsFrom(get);
  const auth = authFrom(get);
  const keepAlive = keepAliveFrom(get);
  return {
    endpoints: endpointsFrom(get),
    ...(tls === undefined ? {} : { tls }),
    ...(auth === undefined ? {} : { auth }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(requestBytesMax === undefined || requestBytesMax <= 0 ? {} : { requestBytesMax }),
  };
}

type Get = (name: string) => string | undefined;

function endpointsFrom(get: Get): string {
  const domain = get("DISCOVERY_SRV");
  if (domain === undefined) return get("ENDPOINTS") ?? endpointDefault;
  const service = get("DISCOVERY_SRV_NAME");
  return `etcd+srv://${domain}${service === undefined ? "" : `?service=${encodeURIComponent(service)}`}`;
}

/** TLS is used where an endpoint says `https` in any case; these are the reasons for endpoints that say nothing. */
function tlsFrom(get: Get): TlsOptions | undefined {
  const [ca, cert, key] = [get("CACERT"), get("CERT"), get("KEY")];
  if ((cert === undefined) !== (key === undefined)) throw new TypeError("ETCDCTL_CERT and ETCDCTL_KEY belong together");
  const insecureSkipVerify = truth(get("INSECURE_SKIP_TLS_VERIFY")) ?? false;
  const secureOnly = truth(get("INSECURE_TRANSPORT")) === false;
  const discovered = get("DISCOVERY_SRV") !== undefined && truth(get("INSECURE_DISCOVERY")) === false;
  const wanted = ca !== undefined || cert !== undefined || insecureSkipVerify || secureOnly || discovered;
  if (!wanted) return undefined;
  return {
    ...(ca === undefined ? {} : { ca: { file: ca } }),
    ...(cert === undefined || key === undefined ? {} : { cert: { file: cert }, key: { file: key } }),
    ...(insecureSkipVerify ? { insecureSkipVerify } : {}),
    ...(discovered ? { serverName: get("DISCOVERY_SRV") ?? "" } : {}),
  };
}

function authFrom(get: Get): PasswordAuth | TokenAuth | undefined {
  const token = get("AUTH_JWT_TOKEN");
  if (token !== undefined) return { token };
  const user = get("USER");
  if (user === undefined) return undefined;
  const password = get("PASSWORD");
  if (password !== undefined) return { username: user, password };
  const colon = user.indexOf(":");
  if (colon === -1) throw new TypeError("ETCDCTL_USER has no password, and ETCDCTL_PASSWORD is not set");
  return { username: user.slice(0, colon), password: user.slice(colon + 1) };
}

function keepAliveFrom(get: Get): { timeMs: number; timeoutMs: number } | undefined {
  const timeMs = milliseconds(get("KEEPALIVE_TIME"));
  const timeoutMs = milliseconds(get("KEEPALIVE_TIMEOUT"));
  if (timeMs === undefined && timeoutMs === undefined) return undefined;
  return { timeMs: Math.max(keepAliveMsMin, timeMs ?? 0), timeoutMs: timeoutMs ?? keepAliveTimeoutMsDefault };
}

const unitsMs: ReadonlyMap<string, number> = new Map([
  ["ns", 1e-6],
  ["us", 1e-3],
  ["µs", 1e-3],
  ["μs", 1e-3],
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
]);

/** A duration in Go's way of writing, such as "1m30s"; undefined if it is none, or below zero. */
function milliseconds(text: string | undefined): number | undefined {
  if (text === "0") return 0;
  if (text === undefined || !/^\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/u.test(text)) return undefined;
  let total = 0;
  for (const [, amount = "", unit = ""] of text.matchAll(/(\d+\.?\d*|\.\d+)([a-zµμ]+)/gu)) {
    total += Number(amount) * (unitsMs.get(unit) ?? 0);
  }
  return total;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** As Go reads truth values. */
function truth(text: string | undefined): boolean | undefined {
  if (/^(?:1|t|T|TRUE|true|True)$/.test(text ?? "")) return true;
  return /^(?:0|f|F|FALSE|false|False)$/.test(text ?? "") ? false : undefined;
}

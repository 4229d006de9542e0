/** Endpoints from DNS: the SRV records that etcd's own tools look for. */

/** One SRV record, as `node:dns` has it. */
export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Looks up the SRV records of a name such as `_etcd-client._tcp.example.com`; rejects if there are none. */
export type SrvResolver = (name: string) => Promise<readonly SrvRecord[]>;

export interface DiscoverOptions {
  /** Asks for `_etcd-client-<service>` and `_etcd-client-ssl-<service>`. */
  readonly service?: string;
  /** "tls" leaves out endpoints without TLS. */
  readonly accept?: "all" | "tls";
  /** Node's own if absent. */
  readonly resolveSrv?: SrvResolver;
}

/**
 * The endpoints that a domain publishes: `https://` for `_etcd-client-ssl._tcp`, `http://` for `_etcd-client._tcp`,
 * with TLS first, each by priority and then weight. Rejects with an Error that names both lookups if neither gives any.
 */
export async function discover(domain: string, options: DiscoverOptions = {}): Promise<string[]> {
  const { service = "", accept = "all", resolveSrv = nodeResolver } = options;
  const suffix = service === "" ? "" : `-${service}`;
  const lookups = [
    { scheme: "https", name: `_etcd-client-ssl${suffix}._tcp.${domain}` },
    ...(accept === "tls" ? [] : [{ scheme: "http", name: `_etcd-client${suffix}._tcp.${domain}` }]),
  ];
  const answers = await Promise.allSettled(lookups.map(({ name }) => resolveSrv(name)));
  const found = answers.flatMap((answer, index) =>
    answer.status === "rejected" ? [] : ordered(answer.value).map((record) => urlOf(record, lookups[index]?.scheme)),
  );
  if (found.length > 0) return [...new Set(found)];
  const reasons = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
  const names = lookups.map(({ name }) => name).join(" and ");
  throw new AggregateError(
    reasons,
    `no SRV records at ${names}${reasons.map((reason) => `; ${textOf(reason)}`).join("")}`,
  );
}

/** The parts of `etcd+srv://domain?service=name`; undefined for any other endpoint. Throws a TypeError without a domain. */
export function srvEndpoint(endpoint: string): { readonly domain: string; readonly service: string } | undefined {
  const [, rest] = /^etcd\+srv:\/\/(.*)$/i.exec(endpoint) ?? [];
  if (rest === undefined) return undefined;
  const [authority = "", query = ""] = rest.split("?");
  const domain = authority.replace(/\/.*$/, "");
  if (domain === "") throw new TypeError(`endpoint ${JSON.stringify(endpoint)}: a domain is missing`);
  return { domain, service: new URLSearchParams(query).get("service") ?? "" };
}

/** By the rule of RFC 2782, but without its dice: the client spreads its calls by itself. */
function ordered(records: readonly SrvRecord[]): readonly SrvRecord[] {
  return records.toSorted((a, b) => a.priority - b.priority || b.weight - a.weight);
}

function urlOf({ name, port }: SrvRecord, scheme = "http"): string {
  return `${scheme}://${name.replace(/\.$/, "")}:${port}`;
}

function textOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

async function nodeResolver(name: string): Promise<readonly SrvRecord[]> {
  const { resolveSrv } = await import("node:dns/promises");
  return resolveSrv(name);
}

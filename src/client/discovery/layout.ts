/**
 * How a service is written down: as etcd's Go client does in `naming/endpoints`, so that both find each other. The key
 * is `service/address`; the value is JSON with `Op`, `Addr` and `Metadata`. Pure.
 */

/** All keys of a service begin with this. */
export function servicePrefix(service: string): string {
  return `${service}/`;
}

export function endpointKey(service: string, addr: string): string {
  return servicePrefix(service) + addr;
}

/** `Op` 0 is "add", the only one that is ever stored. */
export function endpointValue(addr: string, metadata: unknown): string {
  return JSON.stringify({ Op: 0, Addr: addr, Metadata: metadata ?? null });
}

/** Undefined for what is no endpoint: others may keep keys under the same prefix. */
export function parseEndpoint(value: string): { readonly addr: string; readonly metadata: unknown } | undefined {
  const record = parseRecord(value);
  const { Addr: addr, Metadata: metadata } = record;
  return typeof addr === "string" && addr !== "" ? { addr, metadata: metadata ?? undefined } : undefined;
}

function parseRecord(value: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
  } catch {
    // No JSON is no endpoint.
    return {};
  }
}

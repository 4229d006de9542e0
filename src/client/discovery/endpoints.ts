/** Where a service is, now and after every change. */
import type { Kv, WatchEvent } from "../index.js";
import { parseEndpoint, servicePrefix } from "./layout.js";

export interface ServiceEndpoint {
  readonly key: string;
  /** As it was registered: `host:port`, or what else the service's clients understand. */
  readonly addr: string;
  /** Undefined if there is none. */
  readonly metadata: unknown;
}

/**
 * All endpoints of a service, in the order of their keys: at once, and again whenever one comes, goes or changes. Lasts
 * over outages and compactions; ends with the client. Rejects with code "Aborted" after the signal, and with the
 * server's refusal.
 */
export async function* endpoints(
  client: Pick<Kv, "follow">,
  service: string,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<readonly ServiceEndpoint[], void, undefined> {
  const found = new Map<string, ServiceEndpoint>();
  for await (const step of client.follow({ prefix: servicePrefix(service) }, options)) {
    switch (step.kind) {
      case "snapshot":
        found.clear();
        for (const { key, value } of step.kvs.values()) enter(found, key, value);
        break;
      case "delta":
        if (step.events.length === 0) continue;
        for (const event of step.events) take(found, event);
        break;
    }
    yield [...found.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }
}

function take(found: Map<string, ServiceEndpoint>, event: WatchEvent<string>): void {
  switch (event.type) {
    case "put":
      enter(found, event.kv.key, event.kv.value);
      return;
    case "delete":
      found.delete(event.key);
      return;
  }
}

function enter(found: Map<string, ServiceEndpoint>, key: string, value: string): void {
  const endpoint = parseEndpoint(value);
  if (endpoint === undefined) found.delete(key);
  else found.set(key, { key, ...endpoint });
}

/** A service that says where it is, for as long as it is there. */
import { type EtcdClient, keepRegistered, type Lease, type Registration } from "../index.js";
import { endpointKey, endpointValue } from "./layout.js";

export interface RegisterOptions {
  /** Seconds after which a service is forgotten that died without a word. 10 if absent. */
  readonly ttl?: number;
  /** Anything JSON can say, for those who look the service up. */
  readonly metadata?: unknown;
  /** Ends the registration, as disposing does. */
  readonly signal?: AbortSignal;
  /** Time for the first registration, and for each call after it; the client's default if absent. */
  readonly timeoutMs?: number;
}

/** Disposing withdraws it at once. */
export interface ServiceRegistration extends AsyncDisposable {
  readonly key: string;
  /** What holds the key now; undefined from the loss of a lease until the service is registered again. */
  readonly lease: Lease | undefined;
  /** Aborts when the registration has ended: withdrawn, its client closed, or refused, with the reason. */
  readonly signal: AbortSignal;
  /** Replaces the metadata. */
  update(metadata: unknown): Promise<void>;
}

/**
 * Puts the service under a lease that is kept alive, and again under a new one when that is lost. Resolves when the
 * service can be found; rejects if it could not be written down.
 */
export async function register(
  client: EtcdClient,
  service: string,
  addr: string,
  options: RegisterOptions = {},
): Promise<ServiceRegistration> {
  const { metadata, ...rest } = options;
  const key = endpointKey(service, addr);
  const registration = await keepRegistered(client, key, endpointValue(addr, metadata), rest);
  return new Registered({ key, addr, registration });
}

class Registered implements ServiceRegistration {
  readonly key: string;
  private readonly addr: string;
  private readonly registration: Registration;

  constructor(parts: { readonly key: string; readonly addr: string; readonly registration: Registration }) {
    this.key = parts.key;
    this.addr = parts.addr;
    this.registration = parts.registration;
  }

  get lease(): Lease | undefined {
    return this.registration.lease;
  }

  get signal(): AbortSignal {
    return this.registration.signal;
  }

  update(metadata: unknown): Promise<void> {
    return this.registration.update(endpointValue(this.addr, metadata));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registration[Symbol.asyncDispose]();
  }
}

/** How a client talks to a member: handlers called without gRPC, with a delay each way, a deadline, and members that die. */
import { status, WireError } from "../../../proto/status.js";
import type { CallContext, Services } from "../../../src/server/api/types.js";
import { StorageFailure } from "../../../src/server/storage/failure.js";
import type { SimProcess } from "../world/process.js";
import type { RandomStream } from "../world/random.js";
import type { SimEvent, World } from "../world/world.js";

/** What a call came to. `refused`: it surely reached nobody. `lost`: nobody knows. */
export type Reply<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "error"; readonly error: WireError }
  | { readonly kind: "refused" }
  | { readonly kind: "lost" };

/** The client port of a member that runs. */
export interface Port {
  readonly process: SimProcess;
  readonly services: Services;
  /** Connections that break when the process ends. */
  readonly connections: Set<() => void>;
}

export interface CallOptions {
  readonly world: World;
  readonly random: RandomStream;
  readonly timeoutMs: number;
}

const delayMs = (random: RandomStream): number => 0.2 + random.fraction() * 2;

/** One call. Never rejects, unless the member fails with something that is no wire error. */
export function call<T>(
  port: () => Port | undefined,
  { world, random, timeoutMs }: CallOptions,
  work: (services: Services, context: CallContext) => Promise<T>,
): Promise<Reply<T>> {
  return new Promise((resolve) => {
    const state = new OpenCall(world, resolve);
    world.after(delayMs(random), () => {
      const open = port();
      if (open === undefined) return state.end({ kind: "refused" });
      state.begin(open, timeoutMs);
      const begin = (): void => {
        const context = contextOf(state.controller.signal);
        attempt(work, open.services, context).then(
          (value) => world.after(delayMs(random), () => state.end({ kind: "ok", value })),
          (error: unknown) => world.after(delayMs(random), () => state.failed(error)),
        );
      };
      // A connection of its own: it may overtake what others sent before.
      open.process.run(begin, state);
    });
  });
}

async function attempt<T>(
  work: (services: Services, context: CallContext) => Promise<T>,
  services: Services,
  context: CallContext,
): Promise<T> {
  return work(services, context);
}

class OpenCall<T> {
  readonly controller = new AbortController();
  private readonly world: World;
  private readonly resolve: (reply: Reply<T>) => void;
  private port: Port | undefined;
  private deadline: SimEvent | undefined;
  private over = false;
  private readonly broken = (): void => this.end({ kind: "lost" });

  constructor(world: World, resolve: (reply: Reply<T>) => void) {
    this.world = world;
    this.resolve = resolve;
  }

  begin(port: Port, timeoutMs: number): void {
    this.port = port;
    port.connections.add(this.broken);
    this.deadline = this.world.after(timeoutMs, () => {
      port.process.run(() => this.controller.abort(new WireError(status.ContextDeadlineExceeded)));
      this.end({ kind: "lost" });
    });
  }

  failed(error: unknown): void {
    if (error instanceof WireError) this.end({ kind: "error", error });
    // Damage that a read has found; it ends the member.
    else if (error instanceof StorageFailure) this.end({ kind: "lost" });
    else this.world.fail(error as Error);
  }

  end(reply: Reply<T>): void {
    if (this.over) return;
    this.over = true;
    if (this.deadline !== undefined) this.deadline.run = undefined;
    this.port?.connections.delete(this.broken);
    this.resolve(reply);
  }
}

export function contextOf(signal: AbortSignal): CallContext {
  return { metadata: new Map(), signal, remote: "simulated", certificateName: undefined };
}

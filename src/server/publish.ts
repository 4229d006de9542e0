/** Makes a member's name and client URLs known to the cluster, through the log, before it serves anybody. */
import type { Replica } from "./replica/types.js";
import type { Clock } from "./runtime/clock.js";
import type { Logger } from "./runtime/logger.js";

export interface PublishOptions {
  readonly replica: Replica;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly name: string;
  readonly clientUrls: readonly string[];
  /** Gives up, and rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Between two attempts; each may take as long as any request. */
const retryMs = 100;

/** Resolves once the cluster knows this member, however long it takes until there is a leader. */
export async function publish(options: PublishOptions): Promise<void> {
  const { replica, clock, logger, signal } = options;
  for (;;) {
    try {
      await attempt(options);
      return;
    } catch (error) {
      signal.throwIfAborted();
      const facts = { "local-member-id": replica.status().memberId, error };
      logger.warn("failed to publish local member to cluster through raft", facts);
      await new Promise<void>((resolve) => clock.after(retryMs, resolve));
      signal.throwIfAborted();
    }
  }
}

/** A member that is known already only makes sure that there is a quorum. */
async function attempt({ replica, name, clientUrls, signal }: PublishOptions): Promise<void> {
  const { memberId } = replica.status();
  const known = replica.state.members().find(({ id }) => id === memberId);
  if (known?.name === name && known.clientUrls.join() === clientUrls.join()) {
    await replica.linearizableRead({ signal });
    return;
  }
  const value = { id: memberId, name, clientUrls: [...clientUrls] };
  await replica.propose({ $case: "memberPublish", value }, { signal });
}

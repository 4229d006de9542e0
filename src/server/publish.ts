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

/**
 * A member that is known already only makes sure that there is a quorum. One that joins first waits until it holds the
 * state: the answer to a proposal that the leader's snapshot covers would never come.
 */
async function attempt({ replica, name, clientUrls, signal }: PublishOptions): Promise<void> {
  const { memberId } = replica.status();
  const isKnown = (): boolean => replica.state.members().some(({ id }) => id === memberId);
  const isPublished = (): boolean =>
    replica.state.members().some((member) => {
      return member.id === memberId && member.name === name && member.clientUrls.join() === clientUrls.join();
    });
  if (!isKnown() || isPublished()) await replica.linearizableRead({ signal });
  if (isPublished()) return;
  await replica.propose(
    { $case: "memberPublish", value: { id: memberId, name, clientUrls: [...clientUrls] } },
    { signal },
  );
}

/** What a call needs of the connection it came in on and of the server. */

import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Call } from "./call.js";
import type { CallMetrics } from "./call-metrics.js";

export interface Host {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CallMetrics;
  /** Longest message a caller may send. */
  readonly messageBytesMax: number;
  readonly remote: string;
  readonly certificateName: string | undefined;
  callStarted(call: Call): void;
  callEnded(call: Call): void;
  /** A message leaves: clients measure the connection with pings whenever data comes in. */
  messageSent(): void;
  /** A broken invariant: the process must end. */
  onFatal(error: unknown): void;
}

/** Whatever is under way when a client closes, or its endpoints change, leaves no connection and no process behind. */
import { describe, expect, it } from "vitest";
import {
  type Connection,
  createClient,
  type EtcdClient,
  type Transport,
  TransportError,
} from "../../src/client/index.js";
import { WatchTransport } from "../support/watch-transport.js";

/** Counts the connections that are open. One has to be connected before it is ready. */
class Counting implements Transport {
  open = 0;
  readonly service = new WatchTransport();
  private readonly refusing: string | undefined;

  /** `refusing`: the endpoint that cannot be connected to. */
  constructor(refusing?: string) {
    this.refusing = refusing;
    this.service.onCreate = (stream, _, index) => stream.confirm(index);
  }

  connect(endpoint: string): Connection {
    let [ready, closed] = [false, false];
    this.open++;
    return {
      ...this.service.connect(endpoint),
      isReady: () => ready && !closed,
      ready: async () => {
        await Promise.resolve();
        if (endpoint === this.refusing) throw new TransportError("refused", { grpcStatus: 14, sent: false });
        ready = true;
      },
      close: () => {
        if (!closed) this.open--;
        closed = true;
      },
    };
  }
}

/** Lets so many promises settle, one after the other. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

const works: Record<string, (client: EtcdClient) => Promise<unknown>> = {
  "a read": (client) => client.get("a", { signal: new AbortController().signal }),
  "a read without a signal": (client) => client.get("a"),
  "a write": (client) => client.put("a", "1"),
  "a watch": (client) => client.watch("a", { from: 3 }).started,
  "a watch from now": (client) => client.watch("a").started,
  "a lease": (client) => client.leases.attach(5n, { timeoutMs: 5 }),
  "a loop": (client) => client.follow("a")[Symbol.asyncIterator]().next(),
};

/** More than any of the works takes until it waits for an answer. */
const turnsMax = 40;

describe.each(Object.entries(works))("%s under way", (_name, work) => {
  it.each([1, 2])("leaves no connection when the client of %i endpoints closes at any moment", async (count) => {
    for (let moment = 0; moment < turnsMax; moment++) {
      const transport = new Counting();
      const client = createClient({ endpoints: ["one:1", "two:2"].slice(0, count), transport });
      const settled = work(client).catch(() => {});
      await turns(moment);
      await client.close();
      await settled;
      await turns(100);
      expect(transport.open, `after ${moment} turns`).toBe(0);
    }
  });

  it.each([undefined, "one:1"])(
    "leaves none to an endpoint that is removed at any moment (%s refuses)",
    async (who) => {
      for (let moment = 0; moment < turnsMax; moment++) {
        const transport = new Counting(who);
        const client = createClient({ endpoints: "one:1", transport });
        const settled = work(client).catch(() => {});
        await turns(moment);
        client.setEndpoints("two:2");
        await settled;
        await client.close();
        await turns(100);
        expect(transport.open, `after ${moment} turns`).toBe(0);
      }
    },
  );
});

/** Faults between clients and members: a proxy in front of each member, and what it is told. */
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.js";
import type { Faults } from "./types.js";

/** Whoever opens them closes them. */
export class ProxyFaults implements Faults {
  private readonly proxies: readonly TcpProxy[];

  private constructor(proxies: readonly TcpProxy[]) {
    this.proxies = proxies;
  }

  /** A proxy for each of so many members, which has to be told where the member is. */
  static async open(count: number): Promise<ProxyFaults> {
    return new ProxyFaults(await Promise.all(Array.from({ length: count }, () => startTcpProxy())));
  }

  cut(member?: number): void {
    for (const proxy of this.chosen(member)) proxy.cut();
  }

  refuse(member?: number): void {
    for (const proxy of this.chosen(member)) {
      proxy.admit("refuse");
      proxy.cut();
    }
  }

  blackHole(member?: number): void {
    for (const proxy of this.chosen(member)) {
      proxy.admit("silent");
      proxy.flow({ requests: "swallow", replies: "swallow" });
    }
  }

  loseReplies(member?: number): void {
    for (const proxy of this.chosen(member)) proxy.flow({ replies: "swallow" });
  }

  delay(ms: number, member?: number): void {
    for (const proxy of this.chosen(member)) proxy.delay(ms);
  }

  heal(member?: number): void {
    for (const proxy of this.chosen(member)) {
      if (proxy.swallows) proxy.cut();
      proxy.admit("all");
      proxy.flow({ requests: "pass", replies: "pass" });
      proxy.delay(0);
    }
  }

  proxy(member: number): TcpProxy {
    const proxy = this.proxies[member];
    if (proxy !== undefined) return proxy;
    throw new RangeError(`there is no member ${member}: there are ${this.proxies.length}, counted from 0`);
  }

  async close(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
  }

  private chosen(member: number | undefined): readonly TcpProxy[] {
    return member === undefined ? this.proxies : [this.proxy(member)];
  }
}

function unavailable(): never {
  throw new TypeError("the server was started without faults: use startTestServer({ faults: true })");
}

/** Where no proxies were asked for, all but healing is refused. */
export const noFaults: Faults = {
  cut: unavailable,
  refuse: unavailable,
  blackHole: unavailable,
  loseReplies: unavailable,
  delay: unavailable,
  heal: () => {},
  proxy: unavailable,
};

/**
 * Ports for programs that must be told one. They lie below the range that the system hands to outgoing connections, or
 * another test's client could sit on a port between its choice and its use.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const lowest = 10_000;
/** Linux hands out 32768 and up. */
const highest = 32_767;
/** The golden replayer's own. */
const replayer = { from: 24_300, to: 24_999 };
const attemptsMax = 200;

/** Handed out by this process already. */
const taken = new Set<number>();

/** Ports that nobody listens on now, all different from each other and from all earlier ones of this process. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let attempt = 0; ports.length < count; attempt += 1) {
    if (attempt === attemptsMax) throw new Error(`found ${ports.length} of ${count} free ports`);
    const port = randomInt(lowest, highest + 1);
    const reserved = port >= replayer.from && port <= replayer.to;
    if (reserved || taken.has(port) || !(await isFree(port))) continue;
    taken.add(port);
    ports.push(port);
  }
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error("no free port");
  return port;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** How much memory a server uses, as its metrics page says. */
import * as http from "node:http";
import * as https from "node:https";
import type { Pem } from "../../client/index.js";
import type { Session } from "../session.js";
import { writeLog } from "../terminal.js";

const timeoutMs = 10_000;
const sample = /^process_resident_memory_bytes(?:\{[^}]*\})?\s+(\S+)/m;

/** Bytes; undefined, with a remark on stderr, if the endpoint does not tell. */
export async function residentBytes(session: Session, endpoint: string): Promise<number | undefined> {
  try {
    const value = Number(sample.exec(await page(session, endpoint))?.[1]);
    if (value > 0) return value;
    await writeLog("warn", "the metrics of the endpoint do not tell its memory", { endpoint });
  } catch (error) {
    await writeLog("warn", "the metrics of the endpoint cannot be read", { endpoint, error: String(error) });
  }
  return undefined;
}

async function page(session: Session, endpoint: string): Promise<string> {
  const { url, tls } = session.web(endpoint);
  const socketPath = /^unixs?:(.*)$/.exec(url)?.[1];
  const isSecure = /^(?:https|unixs):/.test(url);
  const where = `${socketPath === undefined ? url : "http://localhost"}/metrics`;
  const options = { timeout: timeoutMs, agent: false as const, ...(socketPath === undefined ? {} : { socketPath }) };
  return isSecure
    ? text(https.request(where.replace(/^http:/, "https:"), { ...options, ...secure(tls) }))
    : text(http.request(where, options));
}

function secure({ ca, cert, key, insecureSkipVerify, serverName }: ReturnType<Session["web"]>["tls"]) {
  return {
    ...pemOption("ca", ca),
    ...pemOption("cert", cert),
    ...pemOption("key", key),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: insecureSkipVerify !== true,
  };
}

/** The command line's files have been read when the connection was prepared. */
function pemOption<Name extends string>(name: Name, pem: Pem | undefined): { [N in Name]?: string | Buffer } {
  if (pem === undefined) return {};
  const value = typeof pem === "string" ? pem : pem instanceof Uint8Array ? Buffer.from(pem) : undefined;
  return value === undefined ? {} : ({ [name]: value } as { [N in Name]?: string | Buffer });
}

function text(request: http.ClientRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    request.once("error", reject);
    request.once("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    request.once("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.once("error", reject);
      response.once("end", () => resolve(Buffer.concat(parts).toString()));
    });
    request.end();
  });
}

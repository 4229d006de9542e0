/** The flag `--auth-token`: the kind of token, and for jwt its options (spec/server.md 8.2). */
import type { AuthTokenConfig } from "./config.js";
import { parseDurationMs } from "./flag.js";
import { ConfigError, naming } from "./settings.js";

const families = ["RS", "PS", "ES", "HS"];
const methods = [...families.flatMap((family) => [`${family}256`, `${family}384`, `${family}512`]), "EdDSA"];
const options = ["sign-method", "pub-key", "priv-key", "ttl"];
const ttlMsDefault = 5 * 60_000;

/** `simple`, or `jwt,sign-method=RS256,pub-key=…,priv-key=…,ttl=10m`. Throws ConfigError. */
export function parseAuthToken(text: string): AuthTokenConfig {
  const [kind, ...words] = text.split(",");
  if (kind === "simple" && words.length === 0) return { kind: "simple" };
  if (kind !== "jwt") {
    throw new ConfigError(`--auth-token=${text}: must be "simple", or "jwt" with its options`);
  }
  const given = new Map(words.map(splitOption));
  if (given.size < words.length) throw new ConfigError("--auth-token: an option is given twice");
  const unknown = [...given.keys()].find((name) => !options.includes(name));
  if (unknown !== undefined) throw new ConfigError(`--auth-token: there is no option ${unknown}`);
  const method = given.get("sign-method") ?? "";
  if (!methods.includes(method)) {
    throw new ConfigError(`--auth-token: sign-method must be one of ${methods.join(", ")}`);
  }
  const ttl = given.get("ttl");
  return {
    kind: "jwt",
    method,
    publicKeyFile: given.get("pub-key"),
    privateKeyFile: given.get("priv-key"),
    ttlMs: ttl === undefined ? ttlMsDefault : naming("--auth-token: ttl", 1, () => parseDurationMs(ttl)),
  };
}

function splitOption(word: string): [name: string, value: string] {
  const [, name, value] = /^([^=]+)=(.+)$/.exec(word) ?? [];
  if (name === undefined || value === undefined) {
    throw new ConfigError(`--auth-token: ${JSON.stringify(word)} is not option=value`);
  }
  return [name, value];
}

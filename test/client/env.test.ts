/** Options from the environment that etcdctl reads. */
import { describe, expect, it } from "vitest";
import { optionsFromEnv } from "../../src/client/index.js";

const from = (variables: Readonly<Record<string, string>>): ReturnType<typeof optionsFromEnv> =>
  optionsFromEnv(Object.fromEntries(Object.entries(variables).map(([name, value]) => [`ETCDCTL_${name}`, value])));

describe("optionsFromEnv", () => {
  it("has etcdctl's endpoint, and nothing else, without variables", () => {
    expect(from({})).toEqual({ endpoints: "127.0.0.1:2379" });
    expect(from({ ENDPOINTS: "", USER: "", COMMAND_TIMEOUT: "" })).toEqual({ endpoints: "127.0.0.1:2379" });
  });

  it("reads endpoints, times and sizes", () => {
    const variables = {
      ENDPOINTS: "a:1, b:2",
      COMMAND_TIMEOUT: "1m30s",
      DIAL_TIMEOUT: "1.5s",
      KEEPALIVE_TIME: "2s",
      KEEPALIVE_TIMEOUT: "3s",
      MAX_REQUEST_BYTES: "1024",
    };
    expect(from(variables)).toEqual({
      endpoints: "a:1, b:2",
      timeoutMs: 90_000,
      connectTimeoutMs: 1_500,
      keepAlive: { timeMs: 10_000, timeoutMs: 3_000 },
      requestBytesMax: 1_024,
    });
  });

  it.each([["abc"], ["5"], ["-5s"], ["5 s"], ["s"], ["1s5"]])("takes no notice of the duration %j", (text) => {
    expect(from({ COMMAND_TIMEOUT: text })).toEqual({ endpoints: "127.0.0.1:2379" });
  });

  it("lets discovery win over endpoints", () => {
    expect(from({ ENDPOINTS: "a:1", DISCOVERY_SRV: "example.com" }).endpoints).toBe("etcd+srv://example.com");
    const named = from({ DISCOVERY_SRV: "example.com", DISCOVERY_SRV_NAME: "b&c", INSECURE_DISCOVERY: "false" });
    expect(named).toEqual({ endpoints: "etcd+srv://example.com?service=b%26c", tls: { serverName: "example.com" } });
  });

  it("names TLS files without reading them", () => {
    expect(from({ CACERT: "/ca", CERT: "/cert", KEY: "/key" }).tls).toEqual({
      ca: { file: "/ca" },
      cert: { file: "/cert" },
      key: { file: "/key" },
    });
    expect(from({ INSECURE_SKIP_TLS_VERIFY: "true" }).tls).toEqual({ insecureSkipVerify: true });
    expect(from({ INSECURE_TRANSPORT: "false" }).tls).toEqual({});
    expect(() => from({ CERT: "/cert" })).toThrow("belong together");
  });

  it("reads who the user is as etcdctl does", () => {
    expect(from({ USER: "u:p:q" }).auth).toEqual({ username: "u", password: "p:q" });
    expect(from({ USER: "u:v", PASSWORD: "p" }).auth).toEqual({ username: "u:v", password: "p" });
    expect(from({ USER: "u:p", AUTH_JWT_TOKEN: "t" }).auth).toEqual({ token: "t" });
    expect(() => from({ USER: "u" })).toThrow("has no password");
  });
});

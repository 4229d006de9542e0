/** Environment and config file, and who wins. */
import { describe, expect, it } from "vitest";
import { configOf, errorOf, file, parse, warningsOf } from "./parse.js";

describe("the environment", () => {
  it("sets every flag under ETCD_ and its name", () => {
    const env = { ETCD_NAME: "a", ETCD_MAX_TXN_OPS: "5", ETCD_PRE_VOTE: "false" };
    expect(configOf("", { env })).toMatchObject({ name: "a", maxTxnOps: 5, preVote: false });
  });

  it("may not say what a flag says, not even nothing", () => {
    const complaint = "1 ETCD_NAME and --name are both set; the flag shadows the variable, so unset one";
    expect(errorOf("--name b", { env: { ETCD_NAME: "a" } })).toBe(complaint);
    expect(errorOf("--name b", { env: { ETCD_NAME: "" } })).toBe(complaint);
  });

  it("is ignored where it is empty", () => {
    expect(configOf("", { env: { ETCD_NAME: "" } }).name).toBe("default");
  });

  it("warns of a variable that no flag has", () => {
    expect(warningsOf("", { env: { ETCD_FOO: "a", ETCDCTL_API: "3", HOME: "/" } })).toEqual([
      "unrecognized environment variable: ETCD_FOO",
    ]);
  });

  it("ends the start with code 1 on a bad value", () => {
    expect(errorOf("", { env: { ETCD_MAX_TXN_OPS: "abc" } })).toBe(
      "1 ETCD_MAX_TXN_OPS=abc: must be a whole number not less than 0",
    );
  });

  it("counts as setting explicitly", () => {
    expect(errorOf("", { env: { ETCD_LISTEN_CLIENT_URLS: "http://127.0.0.1:1" } })).toBe(
      "1 --advertise-client-urls must be set when --listen-client-urls is",
    );
  });
});

describe("a config file", () => {
  it("sets flags by their names, in YAML and in JSON", () => {
    expect(configOf("--config-file c.yaml", file("name: a\nmax-txn-ops: 5\npre-vote: false"))).toMatchObject({
      name: "a",
      maxTxnOps: 5,
      preVote: false,
    });
    expect(configOf("--config-file c.yaml", file('{"name": "j", "max-txn-ops": 6}'))).toMatchObject({
      name: "j",
      maxTxnOps: 6,
    });
  });

  it("makes all other flags and variables count for nothing, and says so", () => {
    const sources = { ...file("max-txn-ops: 5"), env: { ETCD_MAX_REQUEST_BYTES: "7", ETCD_NAME: "env" } };
    const config = configOf("--name line --max-txn-ops=9 --config-file c.yaml", sources);
    expect(config).toMatchObject({ name: "default", maxTxnOps: 5, maxRequestBytes: 1_572_864 });
    expect(warningsOf("--name line --config-file c.yaml", sources)).toEqual([
      "the config file is used alone: other flags and variables are ignored: c.yaml",
    ]);
  });

  it("can be named by the environment, where the command line wins", () => {
    expect(configOf("", { ...file("name: a"), env: { ETCD_CONFIG_FILE: "c.yaml" } }).name).toBe("a");
    const two = { files: { "c.yaml": "name: a", "d.yaml": "name: d" }, env: { ETCD_CONFIG_FILE: "d.yaml" } };
    expect(configOf("--config-file=c.yaml", two).name).toBe("a");
  });

  it("does not excuse a command line that cannot be read", () => {
    expect(errorOf("--config-file c.yaml --bogus", file(""))).toMatch(/^2 there is no flag --bogus/);
  });

  it("passes over keys it does not know, and empty ones", () => {
    expect(configOf("--config-file c.yaml", file("nonsense: 1\nname:\nwal-dir: ''")).name).toBe("default");
  });

  it("takes durations in nanoseconds, but the ticks in milliseconds", () => {
    const content = "grpc-keepalive-min-time: 7000000000\nheartbeat-interval: 50\nelection-timeout: 500";
    expect(configOf("--config-file c.yaml", file(content))).toMatchObject({
      grpcKeepaliveMinTimeMs: 7000,
      heartbeatIntervalMs: 50,
      electionTimeoutMs: 500,
    });
    expect(errorOf("--config-file c.yaml", file("grpc-keepalive-min-time: 5s"))).toBe(
      '1 grpc-keepalive-min-time: "5s" in the config file must be a whole number of nanoseconds in a config file',
    );
  });

  it("takes URLs as one text with commas, and lists where etcd has lists", () => {
    const content = [
      "listen-client-urls: http://127.0.0.1:1, http://127.0.0.1:2",
      "advertise-client-urls: http://127.0.0.1:1",
      "log-outputs: [stdout, /var/log/x]",
    ].join("\n");
    const config = configOf("--config-file c.yaml", file(content));
    expect(config.listenClientUrls).toEqual(["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    expect(config.log.outputs).toEqual([{ kind: "stdout" }, { kind: "file", path: "/var/log/x" }]);
  });

  it("takes the nested sections about TLS and discovery", () => {
    const content = `
client-transport-security:
  cert-file: c.crt
  key-file: c.key
  trusted-ca-file: c.ca
  allowed-cn: [a, b]
peer-transport-security:
  cert-file: p.crt
  key-file: p.key
  client-cert-file: pc.crt
  client-key-file: pc.key
  client-cert-auth: true
  allowed-hostname: [x]
  skip-client-san-verification: true
cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
tls-min-version: TLS1.2
discovery-config:
  endpoints: [http://d]
  token: t
`;
    const { clientTls, peerTls } = configOf("--config-file c.yaml", file(content));
    expect(clientTls).toMatchObject({
      identity: { kind: "files", certFile: "c.crt", keyFile: "c.key" },
      trustedCaFile: "c.ca",
      requireCertificate: true,
      nameRule: { kind: "commonNames", names: ["a", "b"] },
      protocol: { ciphers: ["ECDHE-RSA-AES128-GCM-SHA256"] },
    });
    expect(peerTls).toMatchObject({
      identity: { kind: "files", certFile: "p.crt", keyFile: "p.key" },
      callerIdentity: { certFile: "pc.crt", keyFile: "pc.key" },
      requireCertificate: true,
      nameRule: { kind: "hostnames", names: ["x"] },
      skipAddressCheck: true,
    });
    expect(warningsOf("--config-file c.yaml", file(content))).toEqual(
      expect.arrayContaining(
        ["discovery-endpoints", "discovery-token"].map(
          (flag) => `this flag has no effect in this version yet: --${flag}`,
        ),
      ),
    );
  });

  it.each([
    ["max-txn-ops: abc", 'max-txn-ops: "abc" in the config file must be a whole number not less than 0'],
    ["pre-vote: 'yes'", 'pre-vote: "yes" in the config file must be true or false'],
    ["name: [a]", 'name: ["a"] in the config file must be text'],
    ["- a\n- b", "the config file must be a mapping of keys to values"],
    ["client-transport-security: 5", "client-transport-security must be a mapping of keys to values"],
    ["feature-gates: {}", 'feature-gates: {} in the config file must be text such as "Gate=true"'],
    ["election-timeout: 200", "--election-timeout (200 ms) must be at least 5 times --heartbeat-interval (100 ms)"],
  ])("ends the start with code 1 on %j", (content, complaint) => {
    expect(errorOf("--config-file c.yaml", file(content))).toBe(`1 ${complaint}`);
  });

  it("ends the start with code 1 when it is no YAML or not there", () => {
    expect(errorOf("--config-file c.yaml", file("a: [1"))).toMatch(/^1 the config file cannot be read: /);
    expect(errorOf("--config-file nowhere")).toBe(
      "1 the config file cannot be read: open nowhere: no such file or directory",
    );
  });

  it("is not needed: without one nothing is read", () => {
    expect(parse("").kind).toBe("config");
  });
});

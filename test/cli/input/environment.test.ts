/** ETCDCTL_* variables. */
import { describe, expect, it } from "vitest";
import { endpointGroupFlags, globalFlags } from "../../../src/cli/flags.js";
import { readEnvironment } from "../../../src/cli/input/environment.js";

const none = new Map();

describe("the environment", () => {
  it("gives values to inherited flags", () => {
    const env = {
      ETCDCTL_ENDPOINTS: "a:1,b:2",
      ETCDCTL_WRITE_OUT: "json",
      ETCDCTL_COMMAND_TIMEOUT: "1s",
      ETCDCTL_CLUSTER: "true",
    };
    const { values, conflicts, unknown } = readEnvironment(env, { ...globalFlags, ...endpointGroupFlags }, none);
    expect(Object.fromEntries(values)).toEqual({
      endpoints: ["a:1", "b:2"],
      "write-out": "json",
      "command-timeout": 1_000_000_000n,
      cluster: true,
    });
    expect([conflicts, unknown]).toEqual([[], []]);
  });

  it("does not count when it is empty or cannot be parsed", () => {
    const env = { ETCDCTL_WRITE_OUT: "", ETCDCTL_COMMAND_TIMEOUT: "abc", ETCDCTL_HEX: "maybe" };
    expect(readEnvironment(env, globalFlags, none).values.size).toBe(0);
  });

  it("conflicts with a flag that the line gives, even with an equal value", () => {
    const given = new Map([["write-out", "json"]]);
    expect(readEnvironment({ ETCDCTL_WRITE_OUT: "json" }, globalFlags, given).conflicts).toEqual(["ETCDCTL_WRITE_OUT"]);
  });

  it("names what it does not know, without its value, and passes over the special variables", () => {
    const env = { ETCDCTL_PASSWRD: "secret", ETCDCTL_API: "3", ETCDCTL_WATCH_KEY: "k", ETCD_NAME: "m1", PATH: "/bin" };
    expect(readEnvironment(env, globalFlags, none).unknown).toEqual(["ETCDCTL_PASSWRD"]);
  });
});

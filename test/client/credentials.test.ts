/** Tokens: fetched once for all, replaced when refused, and never shown. */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { Credentials, type PasswordLogin } from "../../src/client/connection/credentials.js";
import { EtcdError } from "../../src/client/index.js";

const password = { username: "root", password: "secret" };

/** A server that gives out numbered tokens when told to. */
class Logins {
  readonly names: string[] = [];
  private readonly waiting: { resolve: (token: string) => void; reject: (error: unknown) => void }[] = [];

  readonly login: PasswordLogin = ({ name }) => {
    this.names.push(name);
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
  };

  grant(token: string): void {
    for (const { resolve } of this.waiting.splice(0)) resolve(token);
  }

  refuse(error: Error): void {
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}

function refusal(code: "AuthFailed" | "AuthNotEnabled"): EtcdError {
  return new EtcdError(code, { code, grpcStatus: 3, outcome: "not-applied" });
}

/** As a call does it, which waits only if it has to. */
async function tokenOf(credentials: Credentials): Promise<string | undefined> {
  return await credentials.token();
}

const nobodyLogsIn: PasswordLogin = () => Promise.reject(new Error("nobody logs in"));

/** `login` is asked after the password was, which may take a turn. */
async function asked(logins: Logins, times: number): Promise<void> {
  await expect.poll(() => logins.names.length).toBe(times);
}

describe("a token by password", () => {
  it("is fetched once for fifty who wait, when the first of them asks", async () => {
    const logins = new Logins();
    const credentials = new Credentials(password, logins.login);
    expect(logins.names).toEqual([]);
    const waiting = Array.from({ length: 50 }, () => tokenOf(credentials));
    await asked(logins, 1);
    logins.grant("t1");
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["t1"]));
    expect(credentials.token()).toBe("t1");
    expect(logins.names).toEqual(["root"]);
  });

  it("is replaced once when fifty calls were refused with it, in whatever order they say so", async () => {
    const logins = new Logins();
    const credentials = new Credentials(password, logins.login);
    const first = credentials.token();
    await asked(logins, 1);
    logins.grant("t1");
    await first;
    const replaced: Promise<string | undefined>[] = [];
    for (let call = 0; call < 25; call++) {
      credentials.drop("t1");
      replaced.push(tokenOf(credentials));
    }
    await asked(logins, 2);
    logins.grant("t2");
    await replaced[0];
    for (let call = 0; call < 25; call++) {
      credentials.drop("t1");
      replaced.push(tokenOf(credentials));
    }
    expect(new Set(await Promise.all(replaced))).toEqual(new Set(["t2"]));
    expect(logins.names).toHaveLength(2);
  });

  it("is asked for again by the next call after a failure", async () => {
    const logins = new Logins();
    const credentials = new Credentials(password, logins.login);
    const waiting = [tokenOf(credentials), tokenOf(credentials)];
    const refused = Promise.allSettled(waiting);
    await asked(logins, 1);
    logins.refuse(refusal("AuthFailed"));
    expect((await refused).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    const again = credentials.token();
    await asked(logins, 2);
    logins.grant("t2");
    expect(await again).toBe("t2");
  });

  it("is none while the server knows no users, and fetched when it begins to", async () => {
    const logins = new Logins();
    const credentials = new Credentials(password, logins.login);
    const first = credentials.token();
    await asked(logins, 1);
    logins.refuse(refusal("AuthNotEnabled"));
    expect(await first).toBeUndefined();
    expect(credentials.token()).toBeUndefined();
    expect(logins.names).toHaveLength(1);
    credentials.drop(undefined);
    const second = credentials.token();
    await asked(logins, 2);
    logins.grant("t1");
    expect(await second).toBe("t1");
  });
});

describe("providers", () => {
  it("of passwords are asked for every login", async () => {
    const passwords = ["old", "new"];
    const used: string[] = [];
    const login: PasswordLogin = async (sent) => {
      used.push(sent.password);
      return `t${used.length}`;
    };
    const provider = async (): Promise<string> => passwords.shift() ?? "none";
    const credentials = new Credentials({ username: "root", password: provider }, login);
    expect(await credentials.token()).toBe("t1");
    credentials.drop("t1");
    expect(await credentials.token()).toBe("t2");
    expect(used).toEqual(["old", "new"]);
  });

  it("of tokens need no login, and a fixed token cannot be replaced", async () => {
    const tokens = ["a", "b"];
    const changing = new Credentials({ token: () => tokens.shift() ?? "" }, nobodyLogsIn);
    expect(await changing.token()).toBe("a");
    changing.drop("a");
    expect(await changing.token()).toBe("b");
    expect(changing.canRefresh).toBe(true);
    expect(new Credentials({ token: "fixed" }, nobodyLogsIn).canRefresh).toBe(false);
    expect(new Credentials(undefined, nobodyLogsIn).token()).toBeUndefined();
  });

  it("that throw are told apart from servers that refuse", async () => {
    const vault = new Error("the vault is sealed");
    const credentials = new Credentials({ token: () => Promise.reject(vault) }, () => Promise.reject(new Error("no")));
    await expect(credentials.token()).rejects.toMatchObject({
      name: "EtcdError",
      code: "CredentialsFailed",
      outcome: "not-applied",
      cause: vault,
    });
  });

  it("are not spoken of", async () => {
    const credentials = new Credentials({ username: "root", password: "hunter2" }, () =>
      Promise.reject(refusal("AuthFailed")),
    );
    const error = await Promise.resolve(credentials.token()).catch((cause: unknown) => cause);
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("hunter2");
  });
});

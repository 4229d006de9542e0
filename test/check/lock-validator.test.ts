/** The checker of locks: what it lets pass, and what it finds. */
import { describe, expect, it } from "vitest";
import { type LockHistory, LockValidator } from "./lock-validator.js";

interface Life {
  readonly key: string;
  readonly createRevision: number;
  /** Gone from this revision on. */
  readonly deleteRevision: number;
}

/** A store in which these keys lived. */
function historyOf(lives: readonly Life[]): LockHistory {
  const alive = (from: string, rangeEnd: string, revision: number): readonly Life[] =>
    lives.filter(
      ({ key, createRevision, deleteRevision }) =>
        key >= from && key < rangeEnd && createRevision <= revision && revision < deleteRevision,
    );
  return { alive, at: (key, revision) => alive(key, `${key}\0`, revision)[0] };
}

const first = { key: "lock/a", createRevision: 5, deleteRevision: 9 };
const second = { key: "lock/b", createRevision: 6, deleteRevision: 20 };

function validator(...lives: readonly Life[]): LockValidator {
  return new LockValidator(historyOf(lives), "lock/");
}

describe("the checker of locks", () => {
  it("lets one holder follow the other", () => {
    const locks = validator(first, second);
    locks.claimed({ ...first, revision: 5 });
    locks.claimed({ ...second, revision: 9 });
    locks.fenced({ ...first, revision: 5 }, 7);
    locks.fenced({ ...second, revision: 9 }, 12);
    expect(locks.findings).toEqual([]);
  });

  it("finds a holder whose key was gone", () => {
    const locks = validator(first, second);
    locks.claimed({ ...first, revision: 9 });
    expect(locks.findings.map(({ problem }) => problem)).toEqual(["lost"]);
  });

  it("finds a key of the same name that was created anew", () => {
    const locks = validator({ ...first, createRevision: 7 });
    locks.claimed({ key: first.key, createRevision: 5, revision: 8 });
    expect(locks.findings.map(({ problem }) => problem)).toEqual(["lost"]);
  });

  it("finds one who did not wait, and two who hold it", () => {
    const locks = validator(first, second);
    locks.claimed({ ...first, revision: 5 });
    locks.claimed({ ...second, revision: 8 });
    expect(locks.findings.map(({ problem }) => problem)).toEqual(["queue", "two holders"]);
  });

  it("finds two who hold it, in whatever order they are told", () => {
    const locks = validator(first, { ...second, createRevision: 4 });
    locks.claimed({ ...second, createRevision: 4, revision: 8 });
    locks.claimed({ ...first, revision: 5 });
    expect(locks.findings.map(({ problem }) => problem)).toContain("two holders");
  });

  it("finds a write of a former holder after one of a later one", () => {
    const locks = validator(first, second);
    locks.fenced({ ...second, revision: 9 }, 12);
    locks.fenced({ ...first, revision: 5 }, 13);
    expect(locks.findings.map(({ problem }) => problem)).toEqual(["fencing"]);
  });

  it("finds it too if the earlier write is told of later", () => {
    const locks = validator(first, second);
    locks.fenced({ ...first, revision: 5 }, 13);
    locks.fenced({ ...second, revision: 9 }, 12);
    expect(locks.findings.map(({ problem }) => problem)).toEqual(["fencing"]);
  });
});

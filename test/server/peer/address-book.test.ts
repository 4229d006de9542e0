/** Where members are, as the cluster has it and as they say themselves. */
import { beforeEach, describe, expect, it } from "vitest";
import { AddressBook } from "../../../src/server/peer/address-book.js";

describe("AddressBook", () => {
  let book: AddressBook;
  beforeEach(() => {
    book = new AddressBook();
    book.setMembers([{ id: 1n, peerUrls: ["http://one"] }]);
  });

  it("has the members where the cluster has them", () => {
    expect(book.addresses()).toEqual([{ id: 1n, peerUrls: ["http://one"] }]);
    expect([book.isMember(1n), book.isMember(2n)]).toEqual([true, false]);
  });

  it("has a caller that is no member until it hangs up, and does not take it for one", () => {
    expect(book.called(2n, ["http://two"])).toBe(true);
    expect(book.called(2n, ["http://two"])).toBe(false);
    expect(book.addresses()).toContainEqual({ id: 2n, peerUrls: ["http://two"] });
    expect(book.isMember(2n)).toBe(false);
    expect(book.hungUp(2n)).toBe(true);
    expect(book.addresses()).toEqual([{ id: 1n, peerUrls: ["http://one"] }]);
    expect(book.hungUp(2n)).toBe(false);
  });

  it("has a member that moved at both places, and forgets the new one when it hangs up", () => {
    expect(book.called(1n, ["http://one"])).toBe(false);
    expect(book.called(1n, ["http://elsewhere"])).toBe(true);
    expect(book.addresses()).toEqual([{ id: 1n, peerUrls: ["http://one", "http://elsewhere"] }]);
    expect(book.hungUp(1n)).toBe(false);
    expect(book.addresses()).toEqual([{ id: 1n, peerUrls: ["http://one"] }]);
  });

  it("keeps a caller that becomes a member, once", () => {
    book.called(2n, ["http://two"]);
    book.setMembers([{ id: 2n, peerUrls: ["http://two"] }]);
    expect(book.addresses()).toEqual([{ id: 2n, peerUrls: ["http://two"] }]);
    expect(book.hungUp(2n)).toBe(false);
    expect(book.addresses()).toHaveLength(1);
  });

  it("learns nothing of a caller that says nothing, and takes only so many strangers", () => {
    expect(book.called(2n, [])).toBe(false);
    for (let id = 100n; id < 200n; id++) book.called(id, [`http://${id}`]);
    expect(book.addresses()).toHaveLength(17);
    expect(book.called(1n, ["http://elsewhere"])).toBe(true);
  });
});

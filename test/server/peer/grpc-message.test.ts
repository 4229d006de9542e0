/** Messages as gRPC frames them, however the bytes are cut on their way. */
import { describe, expect, it } from "vitest";
import { MessageCutter, prefixBytes, prefixed, writePrefix } from "../../../src/server/peer/grpc-message.js";

const texts = ["", "a", "some more", "x".repeat(300)];
const bytes = Buffer.concat(texts.map((text) => prefixed(Buffer.from(text))));

describe("messages", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 64, 305, 1_000])("come whole out of pieces of %i bytes", (size) => {
    const cutter = new MessageCutter(300);
    const messages: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      for (const message of cutter.cut(bytes.subarray(at, at + size))) messages.push(message.toString());
    }
    expect(messages).toEqual(texts);
  });

  it("have one byte of flag and four of length in front of them", () => {
    expect([...prefixed(Buffer.from("ab"))]).toEqual([0, 0, 0, 0, 2, 97, 98]);
    const filled = writePrefix(Buffer.alloc(prefixBytes + 258, 7));
    expect([...filled.subarray(0, prefixBytes + 1)]).toEqual([0, 0, 0, 1, 2, 7]);
  });

  it("that are longer than may be fail as soon as their length is known", () => {
    const cutter = new MessageCutter(300);
    expect(cutter.cut(prefixed(Buffer.alloc(300)))).toHaveLength(1);
    const head = prefixed(Buffer.alloc(301)).subarray(0, prefixBytes);
    expect(() => cutter.cut(head)).toThrow(expect.objectContaining({ name: "MessageError", code: 8 }));
  });

  it("that are compressed fail", () => {
    const message = prefixed(Buffer.from("ab"));
    message[0] = 1;
    expect(() => new MessageCutter(300).cut(message)).toThrow(
      expect.objectContaining({ name: "MessageError", code: 13 }),
    );
  });
});

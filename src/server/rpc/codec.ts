/** Messages to frames and back, with as few copies as there can be: one out, none in. */

import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";

/** What the generated code offers for each message. */
export interface Codec<Message> {
  encode(message: Message, writer: BinaryWriter): BinaryWriter;
  decode(reader: BinaryReader): Message;
}

const frameHeader = new Uint8Array(5);

/** One writer serves all, because encoding never suspends; one that grew beyond this is not kept. */
const writerBytesMax = 1 << 20;
let writer = new BinaryWriter();

/** A message in its frame: flag 0, four bytes of length, the message. */
export function encodeFrame<Message>(codec: Codec<Message>, message: Message): Uint8Array {
  const borrowed = writer;
  let frame: Uint8Array | undefined;
  try {
    frame = codec.encode(message, borrowed.raw(frameHeader)).finish();
  } finally {
    // After an error the writer still holds half a message.
    if (frame === undefined || frame.length > writerBytesMax) writer = new BinaryWriter();
  }
  new DataView(frame.buffer, frame.byteOffset).setUint32(1, frame.length - frameHeader.length);
  return frame;
}

/** The message that `bytes` hold; its bytes fields are views of them. Throws an Error that says what is wrong. */
export function decodeMessage<Message>(codec: Codec<Message>, bytes: Uint8Array): Message {
  const reader = new BinaryReader(bytes);
  const message = codec.decode(reader);
  // The generated code stops at a tag that is none, as if the message ended there.
  if (reader.pos < reader.len) throw new Error("proto: illegal tag");
  return message;
}

/** What was wrong with a message, in Go's words where there are some. */
export function decodeProblem(error: unknown): string {
  if (error instanceof RangeError) return "unexpected EOF";
  return error instanceof Error ? error.message : String(error);
}

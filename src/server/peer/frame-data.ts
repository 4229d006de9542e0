/**
 * Long bytes in messages of protobuf: entries and proposals at the end of a frame, and chunks of a snapshot. They are most
 * of what is sent, so they are written and read here by hand: one copy when a message is made, one when it is taken apart.
 */

/** Bytes that are no frame, or a frame that cannot be true. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** A field of bytes and its elements. */
export interface BytesField {
  readonly number: number;
  readonly elements: readonly Uint8Array[];
}

/**
 * A message that is encoded but for one field, and that field: an encoding may be continued by more of its fields. In front
 * of it `room` bytes are left free.
 */
export function withBytes(head: Uint8Array, { number, elements }: BytesField, room: number): Buffer {
  const size = elements.reduce((sum, { length }) => sum + 1 + varintBytes(length) + length, room + head.length);
  const message = Buffer.allocUnsafe(size);
  message.set(head, room);
  let end = room + head.length;
  for (const element of elements) {
    // The field's number, and that a length follows; one byte for numbers below 16.
    message[end] = (number << 3) | 2;
    end = writeVarint(message, end + 1, element.length);
    message.set(element, end);
    end += element.length;
  }
  return message;
}

/** Hands out the data of a frame, message by message. */
export class DataReader {
  private readonly data: readonly Uint8Array[];
  private position = 0;

  constructor(data: readonly Uint8Array[]) {
    this.data = data;
  }

  /** How much nobody has taken yet. */
  get left(): number {
    return this.data.length - this.position;
  }

  /**
   * The next ones, in one buffer of their own. Entries stay in the log's cache long after the frame is done, and a view
   * would keep the whole network buffer alive (which is pooled, and holds other messages too). The entries of one append
   * are neighbours and leave the cache at about the same time, so they share one exact buffer: one allocation and one
   * copy for each append instead of one for each entry. Throws {@link FrameError} if there are not so many.
   */
  take(count: number): readonly Uint8Array[] {
    if (count > this.left) throw new FrameError("it does not hold its data");
    const parts = this.data.slice(this.position, this.position + count);
    this.position += count;
    const buffer = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let end = 0;
    return parts.map((part) => {
      buffer.set(part, end);
      end += part.length;
      return buffer.subarray(end - part.length, end);
    });
  }
}

/** How long a number is as protobuf writes it. */
export function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) count += 1;
  return count;
}

/** Writes a number as protobuf does; returns where it ends. */
export function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let position = start;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    bytes[position] = (rest % 0x80) | 0x80;
    position += 1;
  }
  bytes[position] = rest;
  return position + 1;
}

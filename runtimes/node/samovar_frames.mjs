// Frames over the invoker's unix socket; the format is drawn in samovar/link/wire.py. A runtime imports nothing of Samovar's.

const HEADER_SIZE = 12;
const CHUNK_SIZE = 256 * 1024;
const MAX_FRAME = 1024 * 1024;
const END = 0x01;

export const Kind = Object.freeze({ CHUNK: 3, HELLO: 10, READY: 14, EVENT: 15, RESULT: 16 });

/** A message as buffers: one frame when the body is small, else a first frame and chunks. More follow unless `isLast`. */
export function* encode(kind, stream, head, body, isLast = true) {
  let start = 0;
  do {
    const part = body.subarray(start, start + CHUNK_SIZE);
    start += CHUNK_SIZE;
    const header = Buffer.alloc(HEADER_SIZE);
    header.writeUInt32BE(head.length + part.length, 0);
    header.writeUInt32BE(stream, 4);
    header.writeUInt16BE(head.length, 8);
    header.writeUInt8(kind, 10);
    header.writeUInt8(isLast && start >= body.length ? END : 0, 11);
    yield Buffer.concat([header, head, part]);
    kind = Kind.CHUNK;
    head = Buffer.alloc(0);
  } while (start < body.length);
}

/** Cuts a byte stream into whole messages of one kind, `{ stream, head, body }`. */
export class Decoder {
  #kind;
  #pieces = [];
  #held = 0;
  #message = null;

  constructor(kind) {
    this.#kind = kind;
  }

  /** The messages that `data` completes. Throws on a frame no honest peer would send. */
  *feed(data) {
    this.#pieces.push(data);
    this.#held += data.length;
    for (let frame = this.#next(); frame; frame = this.#next()) {
      const message = this.#take(frame);
      if (message) yield message;
    }
  }

  #next() {
    if (this.#held < HEADER_SIZE) return null;
    const first = this.#join(HEADER_SIZE);
    const length = first.readUInt32BE(0);
    const headLength = first.readUInt16BE(8);
    if (length > MAX_FRAME || headLength > length) throw new Error(`frame of ${length} bytes`);
    const size = HEADER_SIZE + length;
    if (this.#held < size) return null;
    const whole = this.#join(size);
    this.#pieces[0] = whole.subarray(size);
    this.#held -= size;
    const middle = HEADER_SIZE + headLength;
    return {
      kind: whole.readUInt8(10),
      isLast: (whole.readUInt8(11) & END) !== 0,
      stream: whole.readUInt32BE(4),
      head: whole.subarray(HEADER_SIZE, middle),
      body: whole.subarray(middle, size),
    };
  }

  /** The first piece, made to hold at least `size` bytes. */
  #join(size) {
    if (this.#pieces[0].length < size) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0];
  }

  #take({ kind, isLast, stream, head, body }) {
    if (kind === this.#kind) {
      this.#message = { stream, head, parts: [body] };
    } else if (kind === Kind.CHUNK && this.#message?.stream === stream) {
      this.#message.parts.push(body);
    } else {
      return null;
    }
    if (!isLast) return null;
    const message = this.#message;
    this.#message = null;
    return { stream, head: message.head, body: Buffer.concat(message.parts) };
  }
}

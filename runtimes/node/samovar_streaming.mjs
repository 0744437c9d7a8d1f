// Answers that a handler gives in parts: `awslambda.streamifyResponse`, as the AWS Lambda developer guide has it
// ("Response streaming for Lambda functions"). docs/runtime-protocol.md, "Streamed answers", has the frames.

import { Writable } from "node:stream";

import { TooLarge } from "./samovar_errors.mjs";
import { Kind } from "./samovar_frames.mjs";

const STREAMED = Symbol("answers in parts");
const HTTP_TYPE = "application/vnd.awslambda.http-integration-response";
const DELIMITER = Buffer.alloc(8);
const NOTHING = Buffer.alloc(0);

/** What functions find as the global `awslambda`. */
export const awslambda = Object.freeze({
  streamifyResponse(handler) {
    handler[STREAMED] = true;
    return handler;
  },
  HttpResponseStream: class HttpResponseStream {
    /** Have a stream begin with status, headers and cookies. */
    static from(stream, metadata) {
      stream.start(metadata);
      return stream;
    }
  },
});

/** Whether a handler takes a stream: `(event, responseStream, context)`. */
export function isStreamed(handler) {
  return handler[STREAMED] === true;
}

/** Sends each part to the invoker as it comes. `send(kind, head, body, written)` sends a part. */
export class Live {
  #send;
  hasBegun = false;

  constructor(send) {
    this.#send = send;
  }

  write(contentType, data, written) {
    const first = !this.hasBegun;
    this.hasBegun = true;
    const head = first ? { streaming: true, content_type: contentType } : null;
    this.#send(first ? Kind.RESULT : Kind.CHUNK, head, data, written);
  }

  ending() {
    return { kind: Kind.CHUNK, body: NOTHING };
  }
}

/** Keeps the parts until there are no more. */
export class Collected {
  #limit;
  #parts = [];
  #size = 0;
  #contentType = "";
  hasBegun = false; // nothing is sent before the end

  constructor(limit) {
    this.#limit = limit;
  }

  write(contentType, data, written) {
    this.#contentType = contentType;
    this.#size += data.length;
    this.#parts.push(data);
    written(this.#size > this.#limit ? new TooLarge(this.#limit) : null);
  }

  /** All of it as it is; an object of payload format 2.0 where it begins with a status, or answers an HTTP event. */
  ending(event) {
    const whole = Buffer.concat(this.#parts);
    if (this.#contentType === HTTP_TYPE) {
      const end = whole.indexOf(DELIMITER);
      return { body: asHttp(JSON.parse(whole.subarray(0, end).toString()), whole.subarray(end + DELIMITER.length)) };
    }
    const isHttp = event?.version === "2.0" && event.requestContext !== undefined;
    const headers = { "content-type": this.#contentType };
    return { body: isHttp ? asHttp({ statusCode: 200, headers }, whole) : whole };
  }
}

function asHttp(answer, body) {
  const text = body.toString();
  const isText = Buffer.from(text).equals(body);
  return Buffer.from(JSON.stringify({ ...answer, body: isText ? text : body.toString("base64"), isBase64Encoded: !isText }));
}

/** The handler's second argument. */
export class ResponseStream extends Writable {
  #output;
  #contentType = "application/octet-stream";
  #metadata = null;

  constructor(output) {
    super({ highWaterMark: 64 * 1024 });
    this.#output = output;
  }

  /** Objects are written as JSON. */
  write(chunk, ...more) {
    const isPlain = chunk !== null && typeof chunk === "object" && !ArrayBuffer.isView(chunk);
    return super.write(isPlain ? JSON.stringify(chunk) : chunk, ...more);
  }

  setContentType(contentType) {
    this.#contentType = contentType;
  }

  start(metadata) {
    this.#contentType = HTTP_TYPE;
    this.#metadata = Buffer.concat([Buffer.from(JSON.stringify(metadata)), DELIMITER]);
  }

  _write(chunk, encoding, written) {
    this.#output.write(this.#contentType, this.#begun(chunk), written);
  }

  /** An answer without a part is one all the same. */
  _final(written) {
    if (this.#metadata === null && this.#output.hasBegun) written();
    else this.#output.write(this.#contentType, this.#begun(NOTHING), written);
  }

  #begun(chunk) {
    const prelude = this.#metadata;
    this.#metadata = null;
    return prelude === null ? chunk : Buffer.concat([prelude, chunk]);
  }
}

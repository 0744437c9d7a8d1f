// The worker of a Node.js environment: loads a handler as AWS Lambda's Node.js runtime does, and answers events.
//
// The keeper has forked this process and told it in a variable what to do (`samovar_node.py`). It speaks
// docs/runtime-protocol.md and needs Node.js alone. What a handler sees here is what the AWS Lambda developer guide,
// "Building Lambda functions with Node.js", promises.

import net from "node:net";

import { Log } from "./samovar_console.mjs";
import { describe, describeForLog, Fault, isError, TooLarge, toJson } from "./samovar_errors.mjs";
import { Decoder, encode, Kind } from "./samovar_frames.mjs";
import { loadHandler } from "./samovar_handler.mjs";
import { Invocation } from "./samovar_invocation.mjs";
import { awslambda } from "./samovar_streaming.mjs";

const PROTOCOL = 1;
const INIT_ERROR_LIMIT = 200 * 1024;
const UNCAUGHT = 129;
const UNHANDLED = 128;

class Worker {
  #order;
  #socket;
  #log = new Log();
  #decoder = new Decoder(Kind.EVENT);
  #handler = null;
  #current = null;
  #stream = 0; // of the event that runs
  #waiting = [];

  constructor(order) {
    this.#order = order;
  }

  run() {
    this.#socket = net.connect(this.#order.socket, () => this.#start());
    this.#socket.on("data", (data) => this.#receive(data));
    this.#socket.on("close", () => process.exit(0)); // the invoker is gone, and the keeper ends everything
    this.#socket.on("error", () => process.exit(0));
  }

  async #start() {
    this.#send(Kind.HELLO, this.#order.number, { role: "worker", pid: process.pid, protocol: PROTOCOL });
    this.#log.install();
    process.on("uncaughtException", (error) => this.#die("Uncaught Exception", error, UNCAUGHT));
    process.on("unhandledRejection", (reason) => this.#die("Unhandled Promise Rejection", rejected(reason), UNHANDLED));
    process.on("beforeExit", () => this.#current?.onEmptyEventLoop());
    try {
      const handler = await loadHandler(process.env.LAMBDA_TASK_ROOT ?? process.cwd(), process.env._HANDLER || this.#order.handler);
      await new Promise(setImmediate); // a promise that was rejected meanwhile fails initialisation
      this.#handler = handler;
    } catch (error) {
      this.#log.error("Uncaught Exception", error);
      this.#fail(error);
      return;
    }
    this.#ready({});
    this.#next();
  }

  /** Tell that the function cannot be initialised, and end. */
  #fail(error) {
    let body = Buffer.from(toJson(describe(error)));
    if (body.length > INIT_ERROR_LIMIT) body = Buffer.from(toJson({ ...describe(error), trace: [] }));
    this.#ready({ error: describe(error).errorType }, body);
    this.#socket.end(() => process.exit(1));
  }

  #ready(head, body) {
    const init_ms = Number(process.hrtime.bigint()) / 1e6 - this.#order.started * 1e3;
    this.#send(Kind.READY, this.#order.number, { init_ms: Math.round(init_ms * 1e3) / 1e3, ...head }, body);
  }

  #receive(data) {
    for (const message of this.#decoder.feed(data)) this.#waiting.push(message);
    this.#next();
  }

  #next() {
    if (this.#current !== null || this.#handler === null || !this.#waiting.length) return;
    const { stream, head, body } = this.#waiting.shift();
    const told = JSON.parse(head.toString());
    this.#log.requestId = told.request_id;
    if (told.trace_id) process.env._X_AMZN_TRACE_ID = told.trace_id;
    else delete process.env._X_AMZN_TRACE_ID;
    // While a handler runs only what it does keeps the event loop going, so that it is seen when it has come to an end.
    this.#socket.unref();
    this.#stream = stream;
    this.#current = new Invocation(
      told,
      this.#order.maxResponseBytes,
      (outcome) => this.#settle(outcome),
      (kind, head, body, written) => this.#sendPart(kind, stream, head, body, written),
    );
    this.#current.run(this.#handler, body);
  }

  #settle({ error, body, kind = Kind.RESULT, hasBegun = false }) {
    this.#current = null;
    this.#socket.ref();
    if (error === undefined) {
      this.#send(kind, this.#stream, null, body);
    } else {
      if (!(error instanceof TooLarge)) this.#log.error("Invoke Error", error); // that is not the runtime's to tell
      this.#answerWith(error, {}, hasBegun ? Kind.CHUNK : Kind.RESULT);
    }
    setImmediate(() => this.#next());
  }

  /** Something was thrown that nobody caught: it is the answer, if one is due, and the end of the process. */
  #die(title, error, status) {
    this.#log.error(title, error);
    if (this.#handler === null) {
      this.#fail(error);
    } else if (this.#current === null) {
      process.exit(status);
    } else {
      this.#socket.ref();
      this.#answerWith(error, { ends: true }, this.#current.hasBegun ? Kind.CHUNK : Kind.RESULT);
      this.#socket.end(() => process.exit(status));
    }
  }

  #answerWith(error, more, kind) {
    const told = describe(error);
    if (error instanceof TooLarge) delete told.trace; // Lambda's platform reports it, not its runtime
    this.#send(kind, this.#stream, { error: told.errorType, ...more }, Buffer.from(toJson(told)));
  }

  #send(kind, stream, head, body = Buffer.alloc(0)) {
    for (const part of encode(kind, stream, wordsOf(head), body)) this.#socket.write(part);
  }

  /** Send more of an answer that does not end with it; `written` is called when there is room for the next part. */
  #sendPart(kind, stream, head, body, written) {
    this.#socket.write(Buffer.concat([...encode(kind, stream, wordsOf(head), body, false)]), () => written());
  }
}

function wordsOf(head) {
  return head === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(head));
}

function rejected(reason) {
  const error = new Fault("Runtime.UnhandledPromiseRejection", String(reason));
  if (reason?.stack) error.stack = `Runtime.UnhandledPromiseRejection: ${reason.stack}`;
  error.reason = isError(reason) ? describeForLog(reason) : reason;
  return error;
}

globalThis.awslambda = awslambda;
const order = JSON.parse(process.env.SAMOVAR_ORDER);
delete process.env.SAMOVAR_ORDER;
new Worker(order).run();

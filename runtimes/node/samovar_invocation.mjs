// One event given to the handler: the context, the ways to answer, and which of them counts.

import { finished } from "node:stream/promises";

import { Fault, TooLarge } from "./samovar_errors.mjs";
import { Collected, isStreamed, Live, ResponseStream } from "./samovar_streaming.mjs";

/** What the handler gets as its second argument; `callbackWaitsForEmptyEventLoop` may be set by it. */
function makeContext(told, invocation) {
  const deadline = told.deadline_ms;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: told.client_context ? JSON.parse(told.client_context) : undefined,
    identity: undefined,
    invokedFunctionArn: told.arn,
    awsRequestId: told.request_id,
    tenantId: undefined,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: (error, result) => invocation.done(error, result),
    succeed: (result) => invocation.done(null, result),
    fail: (error) => invocation.done(error ?? "handled"),
  };
}

/**
 * Runs a handler once. The first answer counts; `settle` is called once with `{ body }` or `{ error }`, and with `kind`
 * where it ends an answer of which `send` has sent parts.
 */
export class Invocation {
  #context;
  #limit;
  #settle;
  #send;
  #isSettled = false;
  #held = null;
  #output = null;

  constructor(told, limit, settle, send) {
    this.#limit = limit;
    this.#send = told.streaming ? send : null;
    this.#settle = settle;
    this.#context = makeContext(told, this);
  }

  /** Whether parts of the answer have been sent. */
  get hasBegun() {
    return this.#output?.hasBegun ?? false;
  }

  run(handler, event) {
    if (isStreamed(handler)) {
      this.#stream(handler, event).catch((error) => this.#finish({ error: error ?? "handled" }));
      return;
    }
    try {
      const returned = handler(JSON.parse(event.toString()), this.#context, (error, result) => this.#called(error, result));
      if (typeof returned?.then === "function") {
        returned.then(
          (result) => this.#finish({ result }),
          (error) => this.#finish({ error: error ?? "handled" }),
        );
      }
    } catch (error) {
      this.#finish({ error: error ?? "handled" });
    }
  }

  /** The answer ends when the handler has returned and its stream has been written; it is ended for one that forgot. */
  async #stream(handler, event) {
    const given = JSON.parse(event.toString());
    this.#output = this.#send === null ? new Collected(this.#limit) : new Live(this.#send);
    const stream = new ResponseStream(this.#output);
    const written = finished(stream);
    written.catch(() => {}); // it is waited for below, unless the handler fails first
    await handler(given, stream, this.#context);
    stream.end();
    await written;
    this.#finish({ result: this.#output.ending(given) });
  }

  /** `context.done`, `succeed` and `fail` answer at once. */
  done(error, result) {
    this.#finish(error === null || error === undefined ? { result } : { error });
  }

  /** Nothing is left that could go on: what the callback was given is the answer, and `null` when it was given none. */
  onEmptyEventLoop() {
    if (this.#output === null) this.#finish(this.#held ?? { result: null });
    else this.#finish({ error: new Fault("Runtime.StreamError", "The handler left its stream without ending it.") });
  }

  #called(error, result) {
    if (this.#held !== null) return;
    this.#held = error === null || error === undefined ? { result } : { error };
    if (!this.#context.callbackWaitsForEmptyEventLoop) this.#finish(this.#held);
  }

  #finish(outcome) {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if ("error" in outcome) this.#settle({ ...outcome, hasBegun: this.hasBegun });
    else this.#settle(this.#output === null ? this.#serialised(outcome.result) : outcome.result);
  }

  #serialised(result) {
    let body;
    try {
      body = Buffer.from(JSON.stringify(result === undefined ? null : result) ?? "null");
    } catch (error) {
      return { error: new Error("Unable to stringify response body", { cause: error }) };
    }
    if (body.length <= this.#limit) return { body };
    return { error: new TooLarge(this.#limit) };
  }
}

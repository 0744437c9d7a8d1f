// One event given to the handler: the context, the ways to answer, and which of them counts.

import { Fault } from "./samovar_errors.mjs";

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
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: (error, result) => invocation.done(error, result),
    succeed: (result) => invocation.done(null, result),
    fail: (error) => invocation.done(error ?? "handled"),
  };
}

/** Runs a handler once. The first answer counts; `settle` is called once with `{ body }` or `{ error }`. */
export class Invocation {
  #context;
  #limit;
  #settle;
  #isSettled = false;
  #held = null;

  constructor(told, limit, settle) {
    this.#limit = limit;
    this.#settle = settle;
    this.#context = makeContext(told, this);
  }

  run(handler, event) {
    try {
      const returned = handler(JSON.parse(event.toString()), this.#context, (error, result) => this.#called(error, result));
      if (typeof returned?.then === "function") {
        returned.then(
          (result) => this.#finish({ result }),
          (error) => this.#finish({ error: error ?? new Error("handled") }),
        );
      }
    } catch (error) {
      this.#finish({ error });
    }
  }

  /** `context.done`, `succeed` and `fail` answer at once. */
  done(error, result) {
    this.#finish(error === null || error === undefined ? { result } : { error });
  }

  /** Nothing is left that could go on: what the callback was given is the answer, and `null` when it was given none. */
  onEmptyEventLoop() {
    this.#finish(this.#held ?? { result: null });
  }

  #called(error, result) {
    if (this.#held !== null) return;
    this.#held = error === null || error === undefined ? { result } : { error };
    if (!this.#context.callbackWaitsForEmptyEventLoop) this.#finish(this.#held);
  }

  #finish(outcome) {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle("error" in outcome ? outcome : this.#serialised(outcome.result));
  }

  #serialised(result) {
    let body;
    try {
      body = Buffer.from(JSON.stringify(result === undefined ? null : result) ?? "null");
    } catch (error) {
      return { error: new Error(`Unable to stringify response body: ${error.message}`) };
    }
    if (body.length <= this.#limit) return { body };
    const message = `Response payload size exceeded maximum allowed payload size (${this.#limit} bytes).`;
    return { error: new Fault("Function.ResponseSizeTooLarge", message) };
  }
}

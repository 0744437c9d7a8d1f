// Errors as Lambda's Node.js runtime shapes them: in the answer `trace`, in the log `stack`.

const TEXT_LIMIT = 256 * 1024;
const FRAMES_LIMIT = 200;

/** A failure that has a name in Lambda's runtime, such as `Runtime.HandlerNotFound`. */
export class Fault extends Error {
  /** Of `cause` only the trace is told, behind the name. */
  constructor(name, message, cause) {
    super(message);
    Object.defineProperty(this, "name", { value: name }); // what can be enumerated is told in the log again
    if (cause !== undefined) this.stack = `${name}: ${behind(message, cause.stack)}`;
    else if (!this.stack.startsWith(name)) this.stack = this.stack.replace(/^Error/, name);
  }
}

/** A trace as it follows a message: whole, unless it begins with that anyway. */
function behind(message, stack) {
  return stack?.startsWith(message) ? stack : `${message}\n${stack ?? ""}`;
}

/** An answer over the limit. */
export class TooLarge extends Fault {
  constructor(limit) {
    super("Function.ResponseSizeTooLarge", `Response payload size exceeded maximum allowed payload size (${limit} bytes).`);
  }
}

/** What `throw` was given, as the caller of the function sees it. Anything can be thrown, also what has no text. */
export function describe(thrown) {
  try {
    if (isError(thrown)) {
      return { errorType: String(thrown.name), errorMessage: clip(thrown.message), trace: traceOf(thrown) };
    }
    return { errorType: typeof thrown, errorMessage: clip(String(thrown)), trace: [] };
  } catch {
    return { errorType: "handled", errorMessage: "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack", trace: [] };
  }
}

/** The same for the log: with the error's own fields and what caused it. */
export function describeForLog(thrown) {
  // What is no error is logged as one all the same.
  if (!isError(thrown)) return describeForLog(new Error(describe(thrown).errorMessage));
  const { errorType, errorMessage, trace } = describe(thrown);
  const own = Object.fromEntries(Object.entries(thrown).filter(([, value]) => typeof value !== "function"));
  return {
    errorType,
    errorMessage,
    ...(thrown.code === undefined ? {} : { code: thrown.code }),
    ...own,
    stack: trace,
    ...(isError(thrown.cause) ? { cause: describeForLog(thrown.cause) } : {}),
  };
}

/** JSON that is written whatever is in it. */
export function toJson(value) {
  const seen = new WeakSet();
  return JSON.stringify(value, (_, each) => {
    if (typeof each === "bigint") return String(each);
    if (each !== null && typeof each === "object") {
      if (seen.has(each)) return "[Circular]";
      seen.add(each);
    }
    return each;
  });
}

/** Whether it is an error, also one of another realm, as tests and `vm` make them. */
export function isError(thrown) {
  return thrown instanceof Error || Object.prototype.toString.call(thrown) === "[object Error]";
}

function traceOf(error) {
  return clip(error.stack ?? "").split("\n").slice(0, FRAMES_LIMIT);
}

function clip(text) {
  return String(text).slice(0, TEXT_LIMIT);
}

// The console as Lambda's Node.js runtime has it: each record with time, request id and level, as text or as JSON.

import { writeSync } from "node:fs";
import { format } from "node:util";

import { describeForLog, isError, toJson } from "./samovar_errors.mjs";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const METHODS = { trace: "TRACE", debug: "DEBUG", info: "INFO", log: "INFO", warn: "WARN", error: "ERROR" };

/** Writes records. `requestId` is that of the invocation that runs. */
export class Log {
  requestId = undefined;
  #asJson = (process.env.AWS_LAMBDA_LOG_FORMAT ?? "").toUpperCase() === "JSON";
  #least = LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL ?? "TRACE").toUpperCase());

  /** Have the global console write here. */
  install() {
    for (const [method, level] of Object.entries(METHODS)) {
      console[method] = (...given) => this.write(level, given);
    }
  }

  /** One record of what a function has passed to the console. */
  write(level, given) {
    if (this.#asJson && LEVELS.indexOf(level) < this.#least) return;
    const timestamp = new Date().toISOString();
    if (!this.#asJson) {
      // As on AWS, where a record is one event of the log.
      this.#put(`${timestamp}\t${this.requestId}\t${level}\t${given.length ? format(...given) : undefined}`.replaceAll("\n", "\r") + "\n");
      return;
    }
    const record = { timestamp, level, requestId: this.requestId };
    this.#put(`${toJson({ ...record, ...fieldsOf(given) })}\n`);
  }

  /** What went wrong, under a title such as `Invoke Error`. */
  error(title, thrown) {
    this.write("ERROR", this.#asJson ? [describeForLog(thrown)] : [`${title} \t${toJson(describeForLog(thrown))}`]);
  }

  #put(text) {
    let data = Buffer.from(text);
    while (data.length) {
      try {
        data = data.subarray(writeSync(1, data));
      } catch (error) {
        if (error.code !== "EAGAIN") throw error; // libuv may have made the socket one that does not wait
      }
    }
  }
}

function fieldsOf(given) {
  const [first] = given;
  if (given.length === 1 && first !== null && typeof first === "object" && !isError(first)) return { message: first };
  const error = given.find(isError);
  const told = error === undefined ? {} : describeForLog(error);
  return {
    message: format(...given),
    ...(error === undefined
      ? {}
      : { errorType: told.errorType, errorMessage: told.errorMessage, stackTrace: told.stack }),
  };
}

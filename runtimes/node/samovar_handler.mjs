// Finding a handler as Lambda's Node.js runtime does: `folder/module.export`, an ES module or CommonJS.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { Fault } from "./samovar_errors.mjs";

const require = createRequire("/var/runtime/index.mjs"); // that name is told where a module is not found
const NAME = /^([^.]*)\.(.*)$/;

/** The function a handler's name stands for. Throws `Fault`, or what loading the module throws. */
export async function loadHandler(root, name) {
  if (name.includes("..")) {
    throw new Fault("Runtime.MalformedHandlerName", `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(name);
  const parts = NAME.exec(base);
  if (!parts) throw new Fault("Runtime.MalformedHandlerName", "Bad handler");
  const [, moduleName, exported] = parts;
  const folder = name.slice(0, name.length - base.length);
  const module = await loadModule(root, path.join(folder, moduleName));
  const found = lookUp(module, exported);
  if (found === undefined) throw new Fault("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof found !== "function") throw new Fault("Runtime.HandlerNotFound", `${name} is not a function`);
  return found;
}

function lookUp(module, exported) {
  return exported.split(".").reduce((value, name) => value?.[name], module);
}

async function loadModule(root, name) {
  const base = path.resolve(root, name);
  const file = ["", ".js", ".mjs", ".cjs"].map((suffix) => base + suffix).find((each) => path.extname(each) && existsSync(each));
  try {
    if (file !== undefined) {
      return file.endsWith(".mjs") || (file.endsWith(".js") && isInEsPackage(file))
        ? await import(pathToFileURL(file).href)
        : require(file);
    }
    return require(require.resolve(name, { paths: [root, ...(process.env.NODE_PATH ?? "").split(":")] }));
  } catch (error) {
    throw translated(error);
  }
}

/** Whether the nearest package.json says that .js files are ES modules. */
function isInEsPackage(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const description = path.join(folder, "package.json");
    if (existsSync(description)) return JSON.parse(readFileSync(description, "utf8")).type === "module";
    if (folder === path.dirname(folder)) return false;
  }
}

function translated(error) {
  if (error instanceof SyntaxError) return new Fault("Runtime.UserCodeSyntaxError", String(error), error);
  // What `import` does not find (ERR_MODULE_NOT_FOUND) is told as it is.
  return error?.code === "MODULE_NOT_FOUND" ? new Fault("Runtime.ImportModuleError", String(error), error) : error;
}

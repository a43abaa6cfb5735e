// uvu's results, a JSON object a line; and only the chosen tests, where some are.
//
// This file is copied into the sandbox and loaded there before everything else (`NODE_OPTIONS`).
// uvu has no reporters and chooses files, not tests. But each of its suites is queued as
// `runner.bind(0, context, name)` (https://github.com/lukeed/uvu/blob/v0.5.6/src/index.js), and the
// context holds the tests and hooks: there, each test is watched from within.

const fs = require("fs");
const { fileURLToPath } = require("url");

const LONGEST = 8000;
const COLOURS = /\x1b\[[\d;]*m/g;
const CHOSEN = JSON.parse(process.env.PATCHWRIGHT_CHOSEN_TESTS || "[]");
const bind = Function.prototype.bind;
let report;
let queued = 0;
let finished = 0;

function write(record) {
  if (report === undefined) report = fs.openSync(process.env.PATCHWRIGHT_TEST_REPORT, "a");
  fs.writeSync(report, `${JSON.stringify(record)}\n`);
}

// The file that is being loaded: the caller outside of uvu, as its queue knows only what is below
// the folder that it was called with.
function fileOfCaller() {
  const group = (globalThis.UVU_QUEUE || [])[globalThis.UVU_INDEX || 0] || [];
  const name = typeof group[0] === "string" ? group[0] : "";
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 50;
  const lines = new Error().stack.split("\n").slice(1);
  Error.stackTraceLimit = limit;
  const paths = lines
    .map((line) => (/(file:\/\/\/.+?|\/.+?)(?:\?[^:]*)?:\d+(?::\d+)?\)?$/.exec(line) || [])[1])
    .filter((path) => path && path !== __filename && !/node_modules\/(?:\.pnpm\/|uvu\/)/.test(path))
    .map((path) => (path.startsWith("file:") ? fileURLToPath(path) : path));
  return paths.find((path) => name && path.endsWith(`/${name}`)) || name || paths[0] || "";
}

function isContext(value) {
  const lists = ["tests", "only", "before", "after", "bEach", "aEach"];
  return Boolean(value && value.state) && lists.every((key) => Array.isArray(value[key]));
}

function isChosen(file, title) {
  return CHOSEN.some((chosen) => {
    const [path, ...rest] = chosen.split("::");
    if (rest.length) return file.endsWith(`/${path}`) && rest.join("::") === title;
    return chosen === title || file.endsWith(`/${chosen}`);
  });
}

function told(error) {
  const parts = error ? [error.stack || error.message || error, error.details || ""] : [error];
  return parts.map(String).join("\n").replace(COLOURS, "").slice(0, LONGEST);
}

function watched(context, suite) {
  const file = fileOfCaller();
  const titleOf = (test) => (suite ? `${suite} > ${test.name}` : String(test.name));
  if (CHOSEN.length) {
    const kept = (test) => isChosen(file, titleOf(test));
    const some = context.only.length ? "only" : "tests";
    context = { ...context, [some]: context[some].filter(kept) };
    // Where nothing is left of `only`, its being empty would have all the others run.
    if (some === "only" && !context.only.length) context.tests = [];
    if (!context[some].length) Object.assign(context, { before: [], after: [] });
  }
  const chosen = context.only.length ? context.only : context.tests;
  const skipped = context.only.length && !CHOSEN.length ? context.tests : [];
  const runs = new Map();
  let current;
  const wrapped = (test) => ({
    ...test,
    handler: async (state) => {
      try {
        await test.handler(state);
        current.passed = true;
      } catch (error) {
        current.message = told(error);
        throw error;
      }
    },
  });
  const begun = () => {
    const test = chosen[runs.size];
    current = { started: process.hrtime(), passed: false, ends: 0, whole: false, message: "" };
    runs.set(test, current);
  };
  // A hook that fails has all hooks behind a test called again.
  const ending = () => {
    current.ends += 1;
  };
  const ended = () => {
    const [seconds, nanoseconds] = process.hrtime(current.started);
    Object.assign(current, { whole: true, seconds: seconds + nanoseconds / 1e9 });
  };
  const changed = {
    ...context,
    tests: context.tests.map(wrapped),
    only: context.only.map(wrapped),
    bEach: [begun, ...context.bEach],
    aEach: [ending, ...context.aEach, ended],
  };
  const record = (test, outcome, message, seconds) =>
    write({ name: `${file}::${titleOf(test)}`, outcome, message, seconds });
  const finish = () => {
    for (const test of chosen) {
      const run = runs.get(test);
      const passed = run && run.passed && run.whole && run.ends === 1;
      if (passed) record(test, "passed", "", run.seconds);
      else if (run) record(test, "failed", run.message || "A hook of the suite failed.", run.seconds || 0);
      else record(test, "error", "Not run: a hook of the suite failed.", 0);
    }
    for (const test of skipped) record(test, "skipped", "", 0);
  };
  return [changed, finish];
}

function patchedBind(self, ...values) {
  if (values.length !== 2 || !isContext(values[0])) return bind.call(this, self, ...values);
  const [context, finish] = watched(...values);
  const run = bind.call(this, self, context, values[1]);
  queued += 1;
  return async () => {
    const result = await run();
    finish();
    finished += 1;
    return result;
  };
}

function begin() {
  Function.prototype.bind = patchedBind;
  write({ started: true });
  process.on("exit", () => {
    if (finished === queued) write({ ended: 0 });
  });
}

// Only in processes that run uvu: by its own program, or by what it keeps its queue in since 0.5.
if (process.argv.some((word) => /[\\/]\.bin[\\/]uvu$|[\\/]uvu[\\/]bin\.js$/.test(word))) begin();
else {
  Object.defineProperty(globalThis, "UVU_QUEUE", {
    configurable: true,
    get: () => undefined,
    set: (queue) => {
      const property = { configurable: true, enumerable: true, writable: true, value: queue };
      Object.defineProperty(globalThis, "UVU_QUEUE", property);
      begin();
    },
  });
}

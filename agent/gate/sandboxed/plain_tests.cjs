// Runs JavaScript tests as a plain program, without a test runner. Runs inside the sandbox only.
//
// Nothing of the process says that it is a test: no runner is loaded (where a test asks for one it
// gets the few names below), the arguments are those of a script, and standard output is a file.
// What only the runner can give is not there, and tests that need it are left out. What is said on
// descriptor 3 begins with a word that only a closure here knows. It judges nothing.

"use strict";

const fs = require("fs");
const path = require("path");
const { createRequire, isBuiltin } = require("module");
const vm = require("vm");

// What the code under test could replace is taken before it is loaded.
const { writeSync, readFileSync } = fs;
const same = Object.is;
const keysOf = Object.keys;
const { isDeepStrictEqual } = require("util");
const apply = Reflect.apply;
const matches = RegExp.prototype.test;
const { replace } = String.prototype;
const realExit = process.reallyExit.bind(process);
const exactly = { ...require("assert") };
const wait = setTimeout;

class LeftOut extends Error {}

const LATER_MS = 400 * 86400 * 1000;

/** Let the clock of this process be ahead. */
function setClock() {
  const real = Date;
  const now = () => real.now() + LATER_MS;
  globalThis.Date = new Proxy(real, {
    construct: (kind, given, made) => Reflect.construct(kind, given.length ? given : [now()], made),
    apply: () => new real(now()).toString(),
    get: (kind, name) => (name === "now" ? now : kind[name]),
  });
}

/** Where code is in use, what tests it is not installed. */
function hideRunners() {
  const Module = require("module");
  const found = Module._resolveFilename;
  Module._resolveFilename = function (name, ...more) {
    if (/^(?:(?:babel-)?jest|vitest|mocha|ava|tap|nyc|c8|@jest\/.*|@vitest\/.*)(?:\/|$)/.test(name)) {
      throw Object.assign(new Error(`Cannot find module '${name}'`), { code: "MODULE_NOT_FOUND" });
    }
    return apply(found, this, [name, ...more]);
  };
}

module.exports = async (file, later, place = file) => {
  if (later) {
    setClock();
    hideRunners();
  }
  const word = readFileSync(0, "utf8").trim();
  delete require.cache[__filename];
  const say = (...said) => {
    let line = word;
    for (let i = 0; i < said.length; i += 1) line += (i ? "\t" : " ") + clean(said[i]);
    writeSync(3, line + "\n");
  };
  const tests = [];
  const loading = `${file}::(loading)`;
  say("start", loading);
  try {
    await load(file, place, tests);
    say("outcome", loading, "passed", "", 0);
  } catch {
    say("outcome", loading, "left out", "", 0);
    say("end");
    realExit(0);
  }
  for (const [name, run] of tests) {
    say("start", name);
    let outcome = ["passed", "", 0];
    try {
      await Promise.race([run(), new Promise((_, no) => wait(() => no(new LeftOut()), 4000))]);
    } catch (error) {
      outcome = error instanceof LeftOut ? ["left out", "", 0] : ["failed", named(error), lineIn(error, place)];
    }
    say("outcome", name, ...outcome);
  }
  say("end");
  realExit(0);
};

/** A field of a line; not by functions that the code under test could replace. */
function clean(text) {
  return typeof text === "number" ? `${text}` : apply(replace, `${text}`, [/\s+/g, " "]);
}

function named(error) {
  return error instanceof Error ? String(error.name || error.constructor?.name) : typeof error;
}

function lineIn(error, file) {
  const at = String(error?.stack ?? "").split(`${file}:`)[1];
  return at === undefined ? 0 : Number.parseInt(at, 10) || 0;
}

const RUNNERS = new Set(["@jest/globals", "vitest", "mocha", "node:test", "test"]);
const ASSERTS = new Set(["assert", "node:assert", "assert/strict", "node:assert/strict"]);

function runnerFor(file, tests) {
  const titles = [];
  const around = [];
  const gather = (kind) => (body) => around.push([kind, body, titles.length]);
  const add = (title, body) => {
    if (typeof body !== "function") return;
    const name = `${file}::${[...titles, title].join(" ")}`;
    const own = [...around];
    tests.push([
      name,
      async () => {
        for (const [kind, step] of own) if (kind === "before") await called(step);
        try {
          await called(body);
        } finally {
          for (const [kind, step] of own) if (kind === "after") await called(step);
        }
      },
    ]);
  };
  const describe = (title, body) => {
    titles.push(title);
    const known = around.length;
    try {
      if (typeof body === "function") body();
    } finally {
      titles.pop();
      around.length = known;
    }
  };
  const each = (use) => (table) => (title, body) =>
    table.forEach((row, i) => {
      const given = Array.isArray(row) ? row : [row];
      use(`${title} [${i}]`, () => body(...given));
    });
  const nothing = () => undefined;
  // Mocks of modules, and clocks, are the runner's own.
  const mocks = new Proxy({ fn: stub, spyOn, restoreAllMocks: nothing, clearAllMocks: nothing }, {
    get: (known, name) => {
      if (name in known) return known[name];
      throw new LeftOut();
    },
  });
  add.each = each(add);
  add.skip = add.todo = nothing;
  add.only = add.concurrent = add;
  describe.each = each(describe);
  describe.skip = nothing;
  describe.only = describe;
  return {
    describe,
    suite: describe,
    context: describe,
    it: add,
    test: add,
    specify: add,
    before: gather("before"),
    beforeAll: gather("before"),
    beforeEach: gather("before"),
    setup: gather("before"),
    after: gather("after"),
    afterAll: gather("after"),
    afterEach: gather("after"),
    teardown: gather("after"),
    expect,
    assert: exactly.strict,
    jest: mocks,
    vi: mocks,
  };
}

/** A step of a test: a function that gives a promise perhaps, or calls back. */
async function called(step) {
  const context = { timeout: () => undefined, slow: () => undefined };
  if (step.length === 0) return void (await apply(step, context, []));
  await new Promise((yes, no) => {
    const done = (error) => (error ? no(error) : yes());
    apply(step, context, [Object.assign(done, { fail: (why) => no(why ?? new Error("failed")) })]);
  });
}

/** A function that knows how it was called, as runners have them. */
function stub(body) {
  let always = body;
  const once = [];
  const made = function (...given) {
    made.mock.calls.push(given);
    made.mock.instances.push(this);
    made.mock.lastCall = given;
    const step = once.length ? once.shift() : always;
    return step ? apply(step, this, given) : undefined;
  };
  const set = (later) => ((always = later), made);
  const next = (later) => (once.push(later), made);
  return Object.assign(made, {
    mock: { calls: [], instances: [], lastCall: undefined },
    mockImplementation: set,
    mockImplementationOnce: next,
    mockReturnValue: (value) => set(() => value),
    mockReturnValueOnce: (value) => next(() => value),
    mockResolvedValue: (value) => set(async () => value),
    mockResolvedValueOnce: (value) => next(async () => value),
    mockRejectedValue: (value) => set(async () => { throw value; }),
    mockClear: () => ((made.mock.calls.length = 0), made),
    mockReset: () => ((made.mock.calls.length = 0), set(undefined)),
    mockRestore: () => undefined,
  });
}

function spyOn(owner, name, access) {
  if (access || typeof owner[name] !== "function") throw new LeftOut();
  const real = owner[name];
  owner[name] = stub(real);
  return Object.assign(owner[name], { mockRestore: () => void (owner[name] = real) });
}

async function load(file, place, tests) {
  const own = createRequire(place);
  const runner = runnerFor(file, tests);
  const asserts = Object.assign((...given) => exactly.ok(...given), exactly);
  const private_ = (name) => {
    if (RUNNERS.has(name)) return Object.assign(runner.test.bind(null), runner);
    if (ASSERTS.has(name)) return asserts;
    if (name === "chai") return alone(own, name);
    return undefined;
  };
  const require_ = Object.assign((name) => private_(name) ?? own(name), { resolve: own.resolve });
  const import_ = async (name) => {
    const mine = private_(name);
    if (mine !== undefined) return { ...mine, default: mine };
    if (isBuiltin(name)) return import(name);
    return import(name.startsWith(".") ? String(new URL(name, `file://${place}`)) : own.resolve(name));
  };
  const text = readFileSync(file, "utf8").replace(/^#!.*/, "");
  const names = { ...runner, require: require_, import_, module: { exports: {} }, exports: {} };
  const given = { ...names, __filename: place, __dirname: path.dirname(place) };
  const body = `(async ({ ${keysOf(given).join(", ")} }) => {{${withoutImports(text)}\n}})`;
  const code = new vm.Script(body, { filename: place });
  await code.runInThisContext()(given);
}

/** A second copy of a package, which the code under test does not get. */
function alone(own, name) {
  const known = new Set(keysOf(require.cache));
  const loaded = own(name);
  for (const key of keysOf(require.cache)) if (!known.has(key)) delete require.cache[key];
  return loaded;
}

/** `import` statements as what this process does for them; the lines stay where they are. */
function withoutImports(text) {
  const from = /^[ \t]*import\s+([^"';]*?)\s*from\s*(["'][^"']+["'])\s*;?/gm;
  return text
    .replace(from, (whole, names, module) => {
      const lines = "\n".repeat(whole.split("\n").length - 1);
      const [, first, star, braces] =
        /^(?:([\w$]+)\s*,?\s*)?(?:\*\s*as\s+([\w$]+))?(?:\{([^}]*)\})?$/.exec(names.trim()) ?? [];
      const parts = [];
      if (first) parts.push(`default: ${first}`);
      if (braces) parts.push(braces.replace(/([\w$]+)\s+as\s+([\w$]+)/g, "$1: $2").replace(/\s+/g, " "));
      if (star) return `const ${star} = await import_(${module});${lines}`;
      return `const { ${parts.join(", ")} } = await import_(${module});${lines}`;
    })
    .replace(/^[ \t]*import\s*(["'][^"']+["'])\s*;?/gm, "await import_($1);")
    .replace(/^[ \t]*export\s+(?=(?:const|let|function|class|async)\b)/gm, "")
    .replace(/\bimport\.meta\.url\b/g, "`file://${__filename}`");
}

/** Whether two values are alike; neither of them is asked. */
function alike(a, b, strict) {
  if (same(a, b)) return true;
  if (b instanceof Like) return b.fits(a);
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (strict) return isDeepStrictEqual(a, b);
  if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
  if (!Array.isArray(a) && Object.prototype.toString.call(a) !== "[object Object]") {
    return isDeepStrictEqual(a, b);
  }
  const left = keysOf(a).filter((k) => a[k] !== undefined);
  const right = keysOf(b).filter((k) => b[k] !== undefined);
  return left.length === right.length && left.every((k) => k in b && alike(a[k], b[k], false));
}

/** Stands for values of a kind. */
class Like {
  constructor(fits) {
    this.fits = fits;
  }
}

/** Whether a value has all that another one has. */
function covers(value, part) {
  if (typeof part !== "object" || part === null || part instanceof Like) return alike(value, part, false);
  return Object(value) === value && keysOf(part).every((k) => k in value && covers(value[k], part[k]));
}

const primitive = { String: "string", Number: "number", Boolean: "boolean", Function: "function" };
const likes = {
  any: (kind) => new Like((v) => typeof v === primitive[kind.name] || v instanceof kind),
  anything: () => new Like((v) => v !== undefined && v !== null),
  objectContaining: (part) => new Like((v) => covers(v, part)),
  arrayContaining: (part) => new Like((v) => part.every((p) => v.some((i) => alike(i, p, false)))),
  stringContaining: (part) => new Like((v) => typeof v === "string" && v.includes(part)),
  stringMatching: (part) => new Like((v) => apply(matches, new RegExp(part), [v])),
};

const expect = new Proxy((value) => asked(value, false), {
  get: (_, name) => {
    if (name === "assertions" || name === "hasAssertions") return () => undefined;
    if (name in likes) return likes[name];
    throw new LeftOut();
  },
});

function asked(value, not) {
  const hold = (fine) => {
    if (Boolean(fine) === not) {
      const error = new Error("expectation failed");
      error.name = "AssertionError";
      throw error;
    }
  };
  const thrown = (expected) => {
    let error;
    let raised = false;
    try {
      value();
    } catch (found) {
      error = found;
      raised = true;
    }
    hold(raised && fits(error, expected));
  };
  const matchers = {
    toBe: (other) => hold(same(value, other)),
    toEqual: (other) => hold(alike(value, other, false)),
    toStrictEqual: (other) => hold(alike(value, other, true)),
    toBeTruthy: () => hold(value),
    toBeFalsy: () => hold(!value),
    toBeNull: () => hold(value === null),
    toBeUndefined: () => hold(value === undefined),
    toBeDefined: () => hold(value !== undefined),
    toBeNaN: () => hold(same(value, Number.NaN)),
    toContain: (item) =>
      hold(typeof value === "string" ? value.includes(item) : [...value].some((v) => same(v, item))),
    toContainEqual: (item) => hold([...value].some((v) => alike(v, item, false))),
    toHaveLength: (length) => hold(value.length === length),
    toMatch: (pattern) =>
      hold(typeof pattern === "string" ? value.includes(pattern) : apply(matches, pattern, [value])),
    toBeGreaterThan: (other) => hold(value > other),
    toBeGreaterThanOrEqual: (other) => hold(value >= other),
    toBeLessThan: (other) => hold(value < other),
    toBeLessThanOrEqual: (other) => hold(value <= other),
    toBeCloseTo: (other, digits = 2) => hold(Math.abs(value - other) < 10 ** -digits / 2),
    toMatchObject: (part) => hold(covers(value, part)),
    toHaveBeenCalled: () => hold(value.mock.calls.length > 0),
    toHaveBeenCalledTimes: (times) => hold(value.mock.calls.length === times),
    toHaveBeenCalledWith: (...given) => hold(value.mock.calls.some((c) => alike(c, given, false))),
    toHaveBeenLastCalledWith: (...given) => hold(alike(value.mock.lastCall, given, false)),
    toBeInstanceOf: (kind) => hold(value instanceof kind),
    toHaveProperty: (name, ...rest) =>
      hold(Object(value) === value && name in value && (!rest.length || alike(value[name], rest[0], false))),
    toThrow: thrown,
    toThrowError: thrown,
  };
  const settled = (wanted) =>
    new Proxy({}, {
      get: (_, name) => async (...given) => {
        let result;
        try {
          result = await value;
          if (wanted === "rejects") return hold(false);
        } catch (error) {
          if (wanted === "resolves") return hold(false);
          result = name.startsWith("toThrow") ? () => { throw error; } : error;
        }
        return asked(result, not)[name](...given);
      },
    });
  return new Proxy(matchers, {
    get: (known, name) => {
      if (name === "not") return asked(value, !not);
      if (name === "resolves" || name === "rejects") return settled(name);
      if (name in known) return known[name];
      throw new LeftOut();
    },
  });
}

function fits(error, expected) {
  if (expected === undefined) return true;
  const message = String(error?.message ?? error);
  if (typeof expected === "string") return message.includes(expected);
  if (expected instanceof RegExp) return apply(matches, expected, [message]);
  if (typeof expected === "function") return error instanceof expected;
  return message === expected.message;
}

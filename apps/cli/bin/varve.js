#!/usr/bin/env node
// Plain JavaScript that every Node understands: an older one gets a clear line instead of a syntax error. CommonJS, which
// Node starts sooner than modules.
const { existsSync } = require("node:fs");
const nodeModule = require("node:module");
const path = require("node:path");

const NEEDED = 24;

function pinnedNode() {
  try {
    return path.join(path.dirname(require.resolve("node/package.json")), "bin", "node");
  } catch {
    return undefined;
  }
}

/** What is published has its sources bundled; beside the sources themselves the bundle may be older than they are. */
function usesBundle() {
  const isPublished = !existsSync(path.join(__dirname, "../src"));
  const isWanted = isPublished || process.env.VARVE_BUNDLE === "1";
  return isWanted && existsSync(path.join(__dirname, "../bundle/main.js"));
}

/**
 * "low" has V8 collect sooner than it would: of a large context the heap is otherwise two thirds garbage. It costs a RUN
 * step a tenth of its time. No bytecode is given up meanwhile: the code that is kept for later runs would lack what ran
 * once, such as all of a file's top level, and they would parse that file again.
 */
function setMemory(use) {
  const { setFlagsFromString } = require("node:v8");
  setFlagsFromString(`--heap-growing-percent=${use === "low" ? 40 : 0}`);
  setFlagsFromString(`--semi-space-growth-factor=${use === "low" ? 1 : 2}`);
  setFlagsFromString(use === "low" ? "--no-flush-bytecode" : "--flush-bytecode");
}

/** The user's own: what is read there is executed. */
function codeDirectory() {
  return path.join(
    process.env.XDG_CACHE_HOME || path.join(process.env.HOME || require("node:os").homedir(), ".cache"),
    "varve-code",
  );
}

async function loadMain() {
  const cache = codeDirectory();
  if (nodeModule.enableCompileCache !== undefined) nodeModule.enableCompileCache(cache);
  if (usesBundle()) {
    const key = process.argv[2] === "build" ? "build" : "other";
    const directory = path.join(__dirname, "../bundle");
    return require("./load-bundle.js").loadBundle(directory, { cache, key, setMemory }).main;
  }
  setMemory("low");
  return (await import("../dist/main.js")).main;
}

async function run() {
  const main = await loadMain();
  await main(process.argv.slice(2));
  // Nothing is left to wait for, and nobody needs the memory given back piece by piece.
  if (process.getActiveResourcesInfo().length === 0) process.exit();
}

function refuse() {
  process.stderr.write(
    `varve needs Node.js ${NEEDED} or newer; this is ${process.versions.node}. Install a newer one, or run: npx -p node@${NEEDED} -p varve varve\n`,
  );
  process.exit(2);
}

function runWith(program) {
  const { spawn } = require("node:child_process");
  const { signals } = require("node:os").constants;
  // In a group of its own: a signal to our whole group (Ctrl-C, timeout) would reach it a second time beside the one
  // handed on, and a second signal means to end at once, without cleaning up.
  const child = spawn(program, process.argv.slice(1), {
    stdio: "inherit",
    detached: true,
    env: Object.assign({}, process.env, { VARVE_REEXECUTED: "1" }),
  });
  process.on("SIGINT", () => child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.on("SIGHUP", () => child.kill("SIGTERM"));
  child.on("error", refuse);
  child.on("exit", (code, signal) => process.exit(code === null ? 128 + signals[signal] : code));
}

const isOld = Number(process.versions.node.split(".")[0]) < NEEDED;
const pinned = isOld && process.env.VARVE_REEXECUTED === undefined ? pinnedNode() : undefined;
if (pinned !== undefined) {
  runWith(pinned);
} else if (isOld) {
  refuse();
} else {
  void run();
}

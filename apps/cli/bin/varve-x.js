#!/usr/bin/env node
// Plain JavaScript that every Node understands: an older one gets a clear line instead of a syntax error. CommonJS, which
// Node starts sooner than modules.
const { existsSync } = require("node:fs");
const nodeModule = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { setFlagsFromString } = require("node:v8");

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

/** Has V8 collect sooner than it would: of a large context the heap is otherwise two thirds garbage. Costs no time that can be measured. */
function keepMemoryLow() { if (process.env.KML !== undefined) { for (const f of process.env.KML.split(" ")) if (f) setFlagsFromString(f); return; }
  setFlagsFromString("--heap-growing-percent=50");
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** The user's own: what is read there is executed. */
function codeDirectory() {
  return path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "varve-code");
}

function loadMain(cache) {
  const key = process.argv[2] === "build" ? "build" : "other";
  return require("./load-bundle.js").loadBundle(path.join(__dirname, "../bundle"), { cache, key }).main;
}

function refuse() {
  process.stderr.write(
    `varve needs Node.js ${NEEDED} or newer; this is ${process.versions.node}. Install a newer one, or run: npx -p node@${NEEDED} -p varve varve\n`,
  );
  process.exit(2);
}

function runWith(program) {
  const { spawn } = require("node:child_process");
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
  child.on("exit", (code, signal) => process.exit(code === null ? 128 + os.constants.signals[signal] : code));
}

const isOld = Number(process.versions.node.split(".")[0]) < NEEDED;
const pinned = isOld && process.env.VARVE_REEXECUTED === undefined ? pinnedNode() : undefined;
if (pinned !== undefined) {
  runWith(pinned);
} else if (isOld) {
  refuse();
} else {
  const cache = codeDirectory();
  if (nodeModule.enableCompileCache !== undefined) nodeModule.enableCompileCache(cache);
  keepMemoryLow();
  if (usesBundle()) void loadMain(cache)(process.argv.slice(2));
  else void import("../dist/main.js").then(({ main }) => main(process.argv.slice(2)));
}

// Loads the bundle with the code that V8 made of it in earlier runs. Node's own compile cache keeps what is compiled when
// a file is loaded; this one also what was compiled as it was called, so that little is parsed again.
const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");
const vm = require("node:vm");

/** Runs after which the code is complete enough: each adds the functions that it called first. */
const RUNS = 3;
/** Code of a varve or a Node that nobody has any more: milliseconds. */
const OLD = 30 * 24 * 3600 * 1000;

/** What the bundle in `directory` exports. `key` names what it is going to do, and the code that is kept for that in `cache`. */
function loadBundle(directory, { cache, key }) {
  const { needed } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"));
  const file = path.join(directory, needed);
  const code = findCode(path.join(cache, `${needed}-${process.version}-${process.arch}-${key}`));
  const script = new vm.Script(Module.wrap(fs.readFileSync(file, "latin1")), {
    filename: file,
    cachedData: code.bytes,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  if (code.bytes === undefined || script.cachedDataRejected || code.runs < RUNS)
    process.on("exit", () => keepCode(script, script.cachedDataRejected ? { ...code, runs: 0 } : code));
  // Other files of the bundle require this one.
  const module_ = new Module(file, module);
  module_.filename = file;
  require.cache[file] = module_;
  const run = script.runInThisContext();
  run.call(module_.exports, module_.exports, Module.createRequire(file), module_, file, directory);
  module_.loaded = true;
  return module_.exports;
}

/** The code of the most runs. */
function findCode(stem) {
  for (let runs = RUNS; runs > 0; runs -= 1) {
    try {
      return { stem, runs, bytes: fs.readFileSync(`${stem}.${runs}`) };
    } catch {
      // That many there were not yet.
    }
  }
  return { stem, runs: 0, bytes: undefined };
}

/** Where it can't be written, there is none the next time. */
function keepCode(script, { stem, runs }) {
  try {
    const directory = path.dirname(stem);
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const temporary = `${stem}.${process.pid}`;
    fs.writeFileSync(temporary, script.createCachedData(), { mode: 0o600 });
    fs.renameSync(temporary, `${stem}.${runs + 1}`);
    if (runs > 0) fs.rmSync(`${stem}.${runs}`, { force: true });
    removeOld(directory);
  } catch {
    // It is only slower.
  }
}

function removeOld(directory) {
  for (const name of fs.readdirSync(directory)) {
    const file = path.join(directory, name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && stat.isFile() && Date.now() - stat.mtimeMs > OLD) fs.rmSync(file, { force: true });
  }
}

module.exports = { loadBundle };

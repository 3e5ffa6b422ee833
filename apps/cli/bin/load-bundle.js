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
/** What only those load that have something to do. */
const WORK = /^(?:layer|work)-/;

/**
 * What `main.js` in `directory` exports. `key` names what it is going to do, and the code that is kept for that in
 * `cache`. `setMemory` is called with "low" where there is more to do than that file does; with "usual" before V8 takes
 * or gives code, of which it takes none that it gave with other flags.
 */
function loadBundle(directory, { cache, key, setMemory }) {
  const { versions } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"));
  let isWorking = false;
  const load = (name) => {
    const file = path.join(directory, name);
    if (require.cache[file] !== undefined) return require.cache[file].exports;
    if (isWorking) setMemory("usual");
    const stem = path.join(cache, `${name}-${versions[name]}-${process.version}-${process.arch}-${key}`);
    const { script, keep } = compile(file, stem);
    if (keep !== undefined)
      process.on("exit", () => {
        if (isWorking) setMemory("usual");
        keep();
      });
    isWorking = isWorking || WORK.test(name);
    if (isWorking) setMemory("low");
    return run(script, file, (id) => (id.startsWith("./") && id.slice(2) in versions ? load(id.slice(2)) : undefined));
  };
  return load("main.js");
}

/** The script of `file`, and what keeps its code at `stem` where not enough is kept there. */
function compile(file, stem) {
  const code = findCode(stem);
  const script = new vm.Script(Module.wrap(fs.readFileSync(file, "latin1")), {
    filename: file,
    cachedData: code.bytes,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const runs = script.cachedDataRejected ? 0 : code.runs;
  return { script, keep: runs < RUNS ? () => keepCode(script, { stem, runs: runs + 1, old: code.runs }) : undefined };
}

/** What the script of `file` exports; what it requires is what `find` gives, or else what Node does. */
function run(script, file, find) {
  const module_ = new Module(file, module);
  module_.filename = file;
  // Other files of the bundle require this one.
  require.cache[file] = module_;
  const requireOther = Module.createRequire(file);
  const requireAny = (id) => find(id) || requireOther(id);
  const body = script.runInThisContext();
  body.call(module_.exports, module_.exports, requireAny, module_, file, path.dirname(file));
  module_.loaded = true;
  return module_.exports;
}

/** The code of the most runs. */
function findCode(stem) {
  for (let runs = RUNS; runs > 0; runs -= 1) {
    try {
      return { runs, bytes: fs.readFileSync(`${stem}.${runs}`) };
    } catch {
      // That many there were not yet.
    }
  }
  return { runs: 0, bytes: undefined };
}

/** Where it can't be written, there is none the next time. `old`: runs of the code that it takes the place of. */
function keepCode(script, { stem, runs, old }) {
  try {
    const directory = path.dirname(stem);
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const temporary = `${stem}.${process.pid}`;
    fs.writeFileSync(temporary, script.createCachedData(), { mode: 0o600 });
    fs.renameSync(temporary, `${stem}.${runs}`);
    if (old > 0 && old !== runs) fs.rmSync(`${stem}.${old}`, { force: true });
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

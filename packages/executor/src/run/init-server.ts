/** The program of serve-processes.ts, whose functions are compiled at once. */
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";

// All of its functions, few of which are called, would take longer than the rest of the start.
createRequire(import.meta.url)("koffi");
// What is compiled before a fork need not be compiled by each forked process.
setFlagsFromString("--no-lazy");
void import("./serve-processes.ts");

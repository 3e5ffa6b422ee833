import { plainCommand, type RunCommand } from "../../src/runner.ts";

/** A command as plain as can be. */
export const COMMAND: RunCommand = plainCommand(["true"], ["PATH=/bin"]);

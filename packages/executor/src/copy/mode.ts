import { StepError } from "../errors.ts";

/** A new mode made of an old one: 0 to 0o7777. `directory` decides what `X` means. */
export type ModeChange = (mode: number, options: { readonly directory: boolean }) => number;

/** What `--chmod` asks for: a fixed mode, or a change of the mode that is there. */
export type Chmod = { readonly octal: number } | { readonly change: ModeChange };

const CLASS_BITS: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };
const READ = 0o444;
const WRITE = 0o222;
const EXECUTE = 0o111;
const SET_ID = 0o6000;
const STICKY = 0o1000;

/**
 * Parses `--chmod`: octal from 0 to 7777, or symbolic as chmod(1) has it (`u+x`, `go-w,a=rX`), without the umask.
 * @throws StepError `COPY_INVALID`.
 */
export function parseChmod(text: string): Chmod {
  if (/^[0-7]{1,12}$/.test(text)) {
    const octal = Number.parseInt(text, 8);
    if (octal <= 0o7777) return { octal };
  }
  if (/^\d+$/.test(text)) throw invalidChmod(text);
  const changes = text.split(",").map((clause) => parseClause(clause, text));
  return { change: (mode, options) => changes.reduce((current, change) => change(current, options), mode) };
}

function invalidChmod(text: string): StepError {
  return new StepError(
    "COPY_INVALID",
    `Cannot use --chmod "${text}": wanted an octal number from 0 to 7777, or a symbolic mode`,
    {
      word: text,
      hint: 'Write for example --chmod=755 or --chmod="u=rwX,go=rX"',
    },
  );
}

function parseClause(clause: string, text: string): ModeChange {
  const match = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/.exec(clause);
  if (match === null) throw invalidChmod(text);
  const [, who = "", actions = ""] = match;
  const mask = who === "" ? 0o7777 : [...who].reduce((bits, name) => bits | (CLASS_BITS[name] ?? 0), 0);
  const changes = [...actions.matchAll(/([-+=])([rwxXstugo]*)/g)].map(([, operator = "=", permissions = ""]) =>
    createChange(operator, permissions, mask),
  );
  return (mode, options) => changes.reduce((current, change) => change(current, options), mode);
}

function createChange(operator: string, permissions: string, mask: number): ModeChange {
  return (mode, { directory }) => {
    const bits = permissionBits(permissions, { mode, directory }) & mask;
    if (operator === "+") return mode | bits;
    if (operator === "-") return mode & ~bits;
    return (mode & ~mask) | bits;
  };
}

function permissionBits(
  permissions: string,
  { mode, directory }: { readonly mode: number; readonly directory: boolean },
): number {
  if (/^[ugo]$/.test(permissions)) {
    const shift = { u: 6, g: 3, o: 0 }[permissions as "u" | "g" | "o"];
    return ((mode >> shift) & 7) * EXECUTE;
  }
  const table: Readonly<Record<string, number>> = {
    r: READ,
    w: WRITE,
    x: EXECUTE,
    X: directory || (mode & EXECUTE) !== 0 ? EXECUTE : 0,
    s: SET_ID,
    t: STICKY,
  };
  return [...permissions].reduce((bits, name) => bits | (table[name] ?? 0), 0);
}

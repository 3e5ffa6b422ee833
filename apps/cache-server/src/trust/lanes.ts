import type { Lane } from "@varve/cache";
import { ServerError } from "../errors.ts";

/** Kinds of lanes from the least trusted one up. */
const TRUST = ["pr", "dev", "branch", "main"] as const;
const MAX_LENGTH = 200;
/** Segments of letters, digits and a few marks, never `.` or `..`. */
const LANE = /^(?:main|(?:pr|dev|branch)(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._%@+-]+)+)$/;

/** A lane's kind: its first word. */
export function laneKind(lane: Lane): (typeof TRUST)[number] {
  const kind = TRUST.find((each) => lane === each || lane.startsWith(`${each}/`));
  if (kind === undefined) throw laneInvalid(lane);
  return kind;
}

/**
 * `text` as a lane: `main`, or `branch/`, `dev/` or `pr/` and a name.
 * @throws ServerError `SETTINGS_INVALID`.
 */
export function parseLane(text: string): Lane {
  if (text.length > MAX_LENGTH || !LANE.test(text)) throw laneInvalid(text);
  return text;
}

/** The read chain that a lane has where none is given: itself, then main. */
export function defaultReadChain(lane: Lane): readonly Lane[] {
  return lane === "main" ? ["main"] : [lane, "main"];
}

/**
 * `chain` where it is one: it begins with the write lane, and each lane is trusted more than the one before.
 * @throws ServerError `SETTINGS_INVALID`.
 */
export function checkReadChain(chain: readonly Lane[], writeLane: Lane | undefined): readonly Lane[] {
  const ranks = chain.map((lane) => TRUST.indexOf(laneKind(parseLane(lane))));
  const goesUp = ranks.every((rank, position) => position === 0 || rank > (ranks[position - 1] ?? 0));
  const problem =
    chain.length === 0
      ? "it is empty"
      : writeLane !== undefined && chain[0] !== writeLane
        ? `it does not begin with the write lane "${writeLane}"`
        : goesUp
          ? undefined
          : "it does not go up: wanted each lane to be trusted more than the one before (pr, dev, branch, main)";
  if (problem === undefined) return chain;
  throw new ServerError("SETTINGS_INVALID", `Cannot use read chain "${chain.join(" ")}": ${problem}`);
}

/**
 * `text` as one segment of a lane's name: what segments don't hold, slashes too, is written as `%XX`, so that no two
 * texts give the same, and none reaches into the segments beside it.
 */
export function encodeLaneName(text: string): string {
  const encoded = text.replaceAll(/[^A-Za-z0-9._@+-]/gu, (each) =>
    [...Buffer.from(each)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
  if (encoded === "") return "%";
  return /^\.{1,2}$/.test(encoded) ? encoded.replaceAll(".", "%2E") : encoded;
}

function laneInvalid(text: string): ServerError {
  return new ServerError(
    "SETTINGS_INVALID",
    `Cannot use lane "${text}": wanted main, or branch/, dev/ or pr/ and a name of letters, digits, ".", "_", "%", "@", "+" and "-"`,
  );
}

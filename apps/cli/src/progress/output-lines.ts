import { StringDecoder } from "node:string_decoder";

/** Cuts the output of a process at line feeds and carriage returns; characters may be spread over chunks. */
export interface OutputLines {
  /** The lines that `chunk` completes. */
  add(chunk: Uint8Array): readonly string[];
  /** What stands behind the last line's end; undefined for nothing. */
  rest(): string | undefined;
}

/** A line that never ends is cut here: characters. */
const LONGEST = 65_536;

/** For the output of one step, both of its streams. */
export function createOutputLines(): OutputLines {
  const decoder = new StringDecoder("utf8");
  let open = "";
  return {
    add(chunk) {
      const lines = (open + decoder.write(Buffer.from(chunk))).split(/\r\n|\n|\r(?!$)/);
      open = lines.pop() ?? "";
      if (open.length <= LONGEST) return lines;
      lines.push(open);
      open = "";
      return lines;
    },
    rest() {
      const text = open + decoder.end();
      open = "";
      return text === "" ? undefined : text;
    },
  };
}

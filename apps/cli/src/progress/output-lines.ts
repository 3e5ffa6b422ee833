import { StringDecoder } from "node:string_decoder";

/** Cuts the output of a process at line feeds and carriage returns; characters may be spread over chunks. */
export interface OutputLines {
  /** The lines that `chunk` completes. */
  add(chunk: Uint8Array): readonly string[];
  /** What stands behind the last line's end; undefined for nothing. */
  rest(): string | undefined;
}

/** For the output of one step, both of its streams. A line that never ends is cut at 64 KiB. */
export function createOutputLines(): OutputLines {
  const decoder = new StringDecoder("utf8");
  let open = "";
  return {
    add(chunk) {
      const lines = (open + decoder.write(Buffer.from(chunk))).split(/\r\n|\n|\r(?!$)/);
      open = lines.pop() ?? "";
      if (open.length > 65_536) lines.push(...[open, (open = "")].slice(0, 1));
      return lines;
    },
    rest() {
      const text = open + decoder.end();
      open = "";
      return text === "" ? undefined : text;
    },
  };
}

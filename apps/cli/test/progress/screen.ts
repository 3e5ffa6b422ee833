import { Terminal } from "@xterm/headless";

/** A terminal to write on, and to look at. */
export interface TestScreen {
  readonly columns: number;
  readonly rows: number;
  readonly colors: boolean;
  write(text: string): void;
  resize(columns: number, rows: number): void;
  /** All lines, what scrolled away included, without spaces at their ends; empty lines at the end are left out. */
  lines(): Promise<readonly string[]>;
  /** What stands on the screen now. */
  visible(): Promise<readonly string[]>;
}

/** A terminal of this size, as xterm draws it. */
export function createScreen(columns: number, rows: number): TestScreen {
  const terminal = new Terminal({ cols: columns, rows, scrollback: 5000, allowProposedApi: true, convertEol: true });
  const settle = (): Promise<void> => new Promise((resolve) => terminal.write("", resolve));
  const read = (from: number): readonly string[] => {
    const buffer = terminal.buffer.active;
    const all = Array.from({ length: buffer.length - from }, (_, row) =>
      (buffer.getLine(from + row)?.translateToString(true) ?? "").trimEnd(),
    );
    return all.slice(0, all.findLastIndex((line) => line !== "") + 1);
  };
  return {
    get columns() {
      return terminal.cols;
    },
    get rows() {
      return terminal.rows;
    },
    colors: false,
    write: (text) => terminal.write(text),
    resize: (width, height) => terminal.resize(width, height),
    async lines() {
      await settle();
      return read(0);
    },
    async visible() {
      await settle();
      return read(terminal.buffer.active.viewportY);
    },
  };
}

import { formatTable } from "./format-table.ts";
import { compileTemplate } from "./go-template.ts";
import { UsageError } from "./errors.ts";

/** What a list shows for one of its things, by the names that templates use. */
export type Row = Readonly<Record<string, string>>;

export interface RowsOptions {
  /** As docker's `--format`: `table`, `json`, a Go template, or `table TEMPLATE`. */
  readonly format: string;
  /** Members that the table shows, and their headings. */
  readonly columns: Row;
  /** JSON of a row; JSON.stringify by default. */
  readonly encode?: (row: Row) => string;
}

/** Writes rows to standard output. @throws UsageError for a template that makes no sense. */
export function writeRows(rows: readonly Row[], { format, columns, encode = JSON.stringify }: RowsOptions): void {
  process.stdout.write(formatRows(rows, { format, columns, encode }));
}

function formatRows(rows: readonly Row[], { format, columns, encode }: Required<RowsOptions>): string {
  if (format === "json" || format === "{{json .}}") return rows.map((row) => `${encode(row)}\n`).join("");
  if (format === "table") {
    const names = Object.keys(columns);
    const cells = rows.map((row) => names.map((name) => row[name] ?? ""));
    return formatTable([Object.values(columns), ...cells]);
  }
  if (!format.startsWith("table ")) {
    const render = compileTemplate(format.replaceAll("\\t", "\t").replaceAll("\\n", "\n"));
    return rows.map((row) => `${render(row)}\n`).join("");
  }
  const template = format.slice("table ".length).trim().replaceAll("\\t", "\t");
  if (template === "") throw new UsageError('Cannot use --format "table ": the template is empty');
  const render = compileTemplate(template);
  const headings = {
    ...Object.fromEntries(Object.keys(rows[0] ?? {}).map((name) => [name, name.toUpperCase()])),
    ...columns,
  };
  return formatTable([headings, ...rows].map((row) => render(row).split("\t")));
}

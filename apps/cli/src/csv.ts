import { UsageError } from "./errors.ts";

/** One line of CSV (RFC 4180) as fields: quotes may stand around a field that holds commas. */
export function splitCsv(text: string): readonly string[] {
  const fields: string[] = [];
  let field = "";
  let quoted = false;
  for (let position = 0; position < text.length; position += 1) {
    const character = text[position] ?? "";
    if (character === '"' && quoted && text[position + 1] === '"') {
      field += '"';
      position += 1;
    } else if (character === '"' && (quoted || field === "")) quoted = !quoted;
    else if (character === "," && !quoted) {
      fields.push(field);
      field = "";
    } else field += character;
  }
  if (quoted) throw new UsageError(`Cannot parse "${text}": a quote is not closed`);
  return [...fields, field];
}

/** `key=value,key=value` as a map; keys in lower case, a field without "=" has the value "". */
export function parseOptions(text: string): ReadonlyMap<string, string> {
  return new Map(
    splitCsv(text).map((field) => {
      const equals = field.indexOf("=");
      return equals < 0 ? [field.toLowerCase(), ""] : [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)];
    }),
  );
}

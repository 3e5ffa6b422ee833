import { relative, resolve } from "node:path";
import type { BlockFormat } from "./blocks.ts";

/** GitHub Actions: groups and annotations, as its "Workflow commands" have them. Paths are relative to `root`. */
export function githubFormat(root: string): BlockFormat {
  return {
    open: (title) => `::group::${escapeMessage(title)}`,
    close: () => "::endgroup::",
    annotate(level, message, { file, line, endLine }) {
      const place = { file: relative(root, resolve(file)), line, endLine, title: "varve" };
      const properties = Object.entries(place).map(([name, value]) => `${name}=${escapeProperty(String(value))}`);
      return `::${level} ${properties.join(",")}::${escapeMessage(message)}`;
    },
  };
}

function escapeMessage(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeMessage(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

/** GitLab CI: sections, as "Custom collapsible sections" has them. `now` in ms since 1970. */
export function gitlabFormat(now: () => number = Date.now): BlockFormat {
  const mark = (what: "start" | "end", id: string): string =>
    `\u001B[0Ksection_${what}:${Math.floor(now() / 1000)}:${id}\r\u001B[0K`;
  return {
    open: (title, id) => mark("start", id) + title,
    close: (id) => mark("end", id),
  };
}

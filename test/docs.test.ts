import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const PAGES = globSync("{docs,packages/*,apps/*,.}/*.md", { cwd: root }).toSorted();

/** Names of a page's headings, as links have them. */
function anchorsOf(text: string): readonly string[] {
  const headings = text.replaceAll(/^```.*?^```$/gms, "").match(/^#+ .*$/gm) ?? [];
  return headings.map((heading) =>
    heading
      .replace(/^#+ /, "")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("the documentation", () => {
  test.each(PAGES)("%s links only to files and headings that exist", (page) => {
    const text = readFileSync(join(root, page), "utf8");
    for (const [, link = ""] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? join(root, page) : join(root, dirname(page), path);
      expect(existsSync(target), `${page} links to ${link}`).toBe(true);
      if (anchor !== undefined)
        expect(anchorsOf(readFileSync(target, "utf8")), `${page} links to ${link}`).toContain(anchor);
    }
  });

  test("docs/README.md names every page", () => {
    const index = readFileSync(join(root, "docs/README.md"), "utf8");
    for (const page of globSync("*.{md,json}", { cwd: join(root, "docs") }).filter((name) => name !== "README.md"))
      expect(index).toContain(`(${page})`);
  });
});

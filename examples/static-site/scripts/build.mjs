// Makes pages of the Markdown in one directory: node build.mjs FROM TO URL
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

const [from, to, url] = process.argv.slice(2);

function toHtml(markdown) {
  return markdown
    .split(/\n{2,}/)
    .map((block) => (block.startsWith("# ") ? `<h1>${block.slice(2).trim()}</h1>` : `<p>${block.trim()}</p>`))
    .join("\n");
}

mkdirSync(to, { recursive: true });
const pages = readdirSync(from).filter((name) => name.endsWith(".md"));
for (const page of pages) {
  const name = basename(page, ".md");
  const html = `<!doctype html>\n<link rel="canonical" href="${url}/${name}">\n${toHtml(readFileSync(join(from, page), "utf8"))}\n`;
  writeFileSync(join(to, `${name}.html`), html);
  writeFileSync(join(to, `${name}.html.gz`), gzipSync(html));
}
console.log(`${pages.length} pages`);

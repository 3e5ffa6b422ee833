import { stripVTControlCharacters } from "node:util";
import { eastAsianWidth } from "get-east-asian-width";

const ASCII = /^[\u0020-\u007E]*$/;
const ELLIPSIS = "…";
let graphemes: Intl.Segmenter | undefined;

/** Columns that printable text takes on a terminal: UAX #11 for characters, two for emoji, none for marks. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmentsOf(text)) width += graphemeWidth(segment);
  return width;
}

/** Made for the first text that is not ASCII: that takes 15 ms. */
function segmentsOf(text: string): Iterable<Intl.SegmentData> {
  graphemes ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  return graphemes.segment(text);
}

function graphemeWidth(grapheme: string): number {
  if (/^[\p{M}\p{Cf}\p{Cc}]/u.test(grapheme)) return 0;
  if (/\p{Emoji_Presentation}|\uFE0F/u.test(grapheme)) return 2;
  return eastAsianWidth(grapheme.codePointAt(0) ?? 0);
}

/** `text` in at most `width` columns, its end replaced by an ellipsis where it is longer. */
export function fitText(text: string, width: number): string {
  if (width <= 0) return "";
  if (ASCII.test(text)) return text.length <= width ? text : text.slice(0, width - 1) + ELLIPSIS;
  if (textWidth(text) <= width) return text;
  let [kept, used] = ["", 0];
  for (const { segment } of segmentsOf(text)) {
    const more = graphemeWidth(segment);
    if (used + more > width - 1) break;
    [kept, used] = [kept + segment, used + more];
  }
  return kept + ELLIPSIS;
}

/** `text` with spaces behind it up to `width` columns. */
export function padText(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - textWidth(text)));
}

/** On one line, and without control sequences, which would break a display. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\s]+/gu, " ");
}

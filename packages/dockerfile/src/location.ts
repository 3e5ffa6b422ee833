/** A place in a Dockerfile. Lines and columns count from 1; `endLine` is the last line that belongs to it. */
export interface Location {
  readonly file: string;
  readonly line: number;
  readonly endLine: number;
  readonly column?: number;
  /** How many characters from `column` a marker underlines. */
  readonly length?: number;
}

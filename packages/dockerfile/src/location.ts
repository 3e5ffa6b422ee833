/** A place in a Dockerfile. Lines count from 1; `endLine` is the last one that belongs to it. */
export interface Location {
  readonly file: string;
  readonly line: number;
  readonly endLine: number;
}

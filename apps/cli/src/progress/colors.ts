const CODES = { green: 32, red: 31, dim: 2, yellow: 33, cyan: 36 } as const;

export type Color = keyof typeof CODES;

/** `text` in a color, by ECMA-48 SGR. */
export function paint(color: Color, text: string): string {
  return `\u001B[${CODES[color]}m${text}\u001B[0m`;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/**
 * Nanoseconds of a Go duration: `1h30m`, `1.5s`, `100ms`.
 * @throws Error with Go's words for what is none.
 */
export function parseDuration(text: string): number {
  const body = text.replace(/^[-+]/, "");
  if (body === "0") return 0;
  if (body === "") throw new Error(`time: invalid duration "${text}"`);
  if (/^[0-9.]+$/.test(body)) throw new Error(`time: missing unit in duration "${text}"`);
  const parts = [...body.matchAll(/(\d+\.?\d*|\.\d+)([a-zµμ]+)/g)];
  if (parts.map((part) => part[0]).join("") !== body) throw new Error(`time: invalid duration "${text}"`);
  const total = parts.reduce((sum, [, number, unit = ""]) => {
    const scale = UNITS[unit];
    if (scale === undefined) throw new Error(`time: unknown unit "${unit}" in duration "${text}"`);
    return sum + Number(number) * scale;
  }, 0);
  return Math.trunc(text.startsWith("-") ? -total : total);
}

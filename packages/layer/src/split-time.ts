const perSecond = 1_000_000_000;
const largest = 2n ** 63n - 1n;
const whole = new BigInt64Array(1);
const halves = new Int32Array(whole.buffer);
const low = new Uint8Array(Int16Array.of(1).buffer)[0] === 1 ? 0 : 1;

/**
 * The whole seconds of a time in nanoseconds since 1970, rounded down. Times of 64 bits, which are all that file systems
 * have, are split without a division of BigInts: each of those leaves another object behind.
 */
export function secondsOf(time: bigint): number {
  if (time > largest || time < -largest) return divide(time);
  whole[0] = time;
  const near = Math.floor((halves[1 - low]! * 2 ** 32 + (halves[low]! >>> 0)) / perSecond);
  const rest = restOf(near);
  if (rest < 0) return near - 1;
  return rest < perSecond ? near : near + 1;
}

/** The nanoseconds of a time beyond its `seconds`, which `secondsOf` gave: 0 to 999,999,999. */
export function nanosecondsOf(time: bigint, seconds: number): number {
  whole[0] = time;
  return restOf(seconds);
}

/** What is left of `whole` beyond so many seconds; less than 2^31 to both sides, so that the low bits tell it. */
function restOf(seconds: number): number {
  return (halves[low]! - Math.imul(seconds, perSecond)) | 0;
}

function divide(time: bigint): number {
  const seconds = time / BigInt(perSecond);
  return Number(seconds * BigInt(perSecond) > time ? seconds - 1n : seconds);
}

/** Bytes of a tar block. */
export const blockLength = 512;
/** The largest number in a field for an id, and in one for a size or a time. */
export const largestId = 0o7777777;
export const largestLong = 0o77777777777;

/** Where the fields of a header block start: POSIX.1-2024, pax, "ustar Interchange Format". */
export const fields = {
  mode: 100,
  uid: 108,
  gid: 116,
  size: 124,
  mtime: 136,
  checksum: 148,
  typeflag: 156,
  linkname: 157,
  magic: 257,
  devmajor: 329,
  devminor: 337,
  prefix: 345,
} as const;

/** What all header blocks have in common; spaces for the checksum. */
export const blankHeader: Buffer = createBlankHeader();

/** Writes an id or a mode into its field at `at`; zero where the field does not hold it. */
export function writeId(memory: Uint8Array, at: number, value: number): void {
  writeOctal(memory, at + 6, value >= 0 && value <= largestId ? value : 0, 7);
}

/** Writes a size or a time in seconds into its field at `at`; zero where the field does not hold it. */
export function writeLong(memory: Uint8Array, at: number, value: number): void {
  const held = value >= 0 && value <= largestLong ? value : 0;
  const high = Math.floor(held / 2 ** 30);
  memory[at] = 0x30 + high;
  writeOctal(memory, at + 10, held - high * 2 ** 30, 10);
}

/** Sums up the block at `at` and says so in it. */
export function writeChecksum(memory: Uint8Array, at: number): void {
  writeSum(memory, at, sumOf(memory, at, at + blockLength));
}

/** The same for a block that from its link name on is as `blankHeader`. */
export function writeShortChecksum(memory: Uint8Array, at: number): void {
  writeSum(memory, at, restSum + sumOf(memory, at, at + fields.linkname));
}

const restSum = sumOf(blankHeader, fields.linkname, blockLength);

function writeSum(memory: Uint8Array, at: number, sum: number): void {
  writeOctal(memory, at + fields.checksum + 5, sum, 6);
  memory[at + fields.checksum + 6] = 0;
}

/** Writes so many octal digits of a number below 2^30, the last one at `last`. */
function writeOctal(memory: Uint8Array, last: number, value: number, digits: number): void {
  let rest = value;
  for (let at = last; at > last - digits; at--) {
    memory[at] = 0x30 + (rest & 7);
    rest >>= 3;
  }
}

function sumOf(bytes: Uint8Array, from: number, end: number): number {
  let sum = 0;
  for (let at = from; at < end; at++) sum += bytes[at]!;
  return sum;
}

function createBlankHeader(): Buffer {
  const block = Buffer.alloc(blockLength);
  block.fill(0x20, fields.checksum, fields.checksum + 8);
  block.write("ustar\u000000", fields.magic, "latin1");
  for (const at of [fields.devmajor, fields.devminor]) writeId(block, at, 0);
  return block;
}

import { hash } from "node:crypto";

/** FIPS 180-4, 4.2.2. */
const CONSTANTS: Int32Array = parseWords(`
  428a2f98 71374491 b5c0fbcf e9b5dba5 3956c25b 59f111f1 923f82a4 ab1c5ed5
  d807aa98 12835b01 243185be 550c7dc3 72be5d74 80deb1fe 9bdc06a7 c19bf174
  e49b69c1 efbe4786 0fc19dc6 240ca1cc 2de92c6f 4a7484aa 5cb0a9dc 76f988da
  983e5152 a831c66d b00327c8 bf597fc7 c6e00bf3 d5a79147 06ca6351 14292967
  27b70a85 2e1b2138 4d2c6dfc 53380d13 650a7354 766a0abb 81c2c92e 92722c85
  a2bfe8a1 a81a664b c24b8b70 c76c51a3 d192e819 d6990624 f40e3585 106aa070
  19a4c116 1e376c08 2748774c 34b0bcb5 391c0cb3 4ed8aa4a 5b9cca4f 682e6ff3
  748f82ee 78a5636f 84c87814 8cc70208 90befffa a4506ceb bef9a3f7 c67178f2
`);
/** 5.3.3. */
const START: Int32Array = parseWords("6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19");
const BLOCK = 64;
const HASH_BYTES = 32;

/**
 * Bytes that are still hashed here. To load node:crypto takes 4 ms, as long as all that a small build does which finds
 * everything as it was, and hashes less than this; whoever hashes more is better served there.
 */
let left = 16 * 1024;
const words = new Int32Array(BLOCK);

/** The sha256 of `bytes`: 32 bytes. */
export function sha256(bytes: Uint8Array): Buffer {
  if (bytes.length > left) {
    left = 0;
    return hash("sha256", bytes, "buffer");
  }
  left -= bytes.length + BLOCK;
  return sha256Here(bytes);
}

/** The same, always without node:crypto. FIPS 180-4, 6.2. */
export function sha256Here(bytes: Uint8Array): Buffer {
  const padded = pad(bytes);
  const state = Int32Array.from(START);
  for (let offset = 0; offset < padded.length; offset += BLOCK) addBlock(state, padded, offset);
  const digest = Buffer.allocUnsafe(HASH_BYTES);
  for (let word = 0; word < state.length; word += 1) digest.writeInt32BE(state[word]!, 4 * word);
  return digest;
}

/** With a bit, zeros, and the length in bits, in whole blocks. */
function pad(bytes: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((bytes.length + 9) / BLOCK) * BLOCK);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  padded.writeBigUInt64BE(BigInt(bytes.length) * 8n, padded.length - 8);
  return padded;
}

/** Rotations are written out: called, they take most of the time of what runs a few times only. */
function addBlock(state: Int32Array, bytes: Buffer, offset: number): void {
  for (let word = 0; word < 16; word += 1) words[word] = bytes.readInt32BE(offset + 4 * word);
  for (let word = 16; word < BLOCK; word += 1) {
    const early = words[word - 15]!;
    const late = words[word - 2]!;
    const low = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3);
    const high = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10);
    words[word] = high + words[word - 7]! + low + words[word - 16]!;
  }
  mix(state);
}

function mix(state: Int32Array): void {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let word = 0; word < BLOCK; word += 1) {
    const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const first = (h + high + ((e & f) ^ (~e & g)) + CONSTANTS[word]! + words[word]!) | 0;
    const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  const mixed = [a, b, c, d, e, f, g, h];
  for (let word = 0; word < mixed.length; word += 1) state[word] = state[word]! + mixed[word]!;
}

function parseWords(text: string): Int32Array {
  return Int32Array.from(text.trim().split(/\s+/), (word) => Number.parseInt(word, 16));
}

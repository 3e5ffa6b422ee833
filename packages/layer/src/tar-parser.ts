import { decodePax, type PaxRecord } from "./pax.ts";
import {
  checkBlock,
  corrupt,
  decodeHeader,
  flagOf,
  hasMorePieces,
  hasSparseMap,
  pairPieces,
  parseCount,
  readLongName,
  readPieces,
  sizeOf,
  type SparsePiece,
  type TarHeader,
} from "./read-header.ts";
import { blockLength, paddedLength } from "./write-header.ts";

/** Told what a tar holds, in its order. A sparse file's holes are not told: bytes that no call gives are zero. */
export interface TarHandler {
  /** A member starts. `offset`: where its body starts in the tar. */
  member(header: TarHeader, offset: number): void;
  /** Bytes of the member's file, from `position` in it; never backwards. */
  bytes(chunk: Buffer, position: number): void;
  /** The member is complete. */
  end(): void;
}

/** Bytes of a pax header, a long name or a sparse map beyond which an archive is refused. */
const largestExtension = 1024 * 1024;
const largestPieceCount = 65536;

type State = "header" | "extension" | "pieces" | "map" | "body" | "padding" | "trailer";

/**
 * Reads a tar as it comes in, without a buffer beyond headers: ustar, pax, GNU (long names, base-256 numbers, sparse
 * files in all their formats), the old formats before them.
 */
export class TarParser {
  readonly #handler: TarHandler;
  #rest: Buffer = Buffer.alloc(0);
  #state: State = "header";
  #offset = 0;
  #globals: PaxRecord[] = [];
  #records: PaxRecord[] = [];
  #name: string | undefined;
  #linkname: string | undefined;
  #block: Buffer = Buffer.alloc(0);
  #member: TarHeader | undefined;
  #pieces: SparsePiece[] = [];
  #piece = 0;
  #inPiece = 0;
  #left = 0;
  #padding = 0;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** @throws LayerError `ARCHIVE_CORRUPT`, `ENTRY_UNSUPPORTED`, or what the handler throws. */
  push(chunk: Buffer): void {
    let view = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const used = this.#step(view);
      if (used < 0) break;
      view = view.subarray(used);
      this.#offset += used;
    }
    this.#rest = view;
  }

  /** The tar has ended. @throws LayerError `ARCHIVE_CORRUPT` where it ended within a member. */
  finish(): void {
    const isBetween = this.#state === "header" && this.#rest.length === 0 && this.#records.length === 0;
    const isPadded = this.#state === "padding" && this.#left === 0;
    if (!isBetween && !isPadded && this.#state !== "trailer") throw corrupt("it ends within an entry");
  }

  /** Uses up the start of `view`: how many bytes, or -1 where it needs more than there are. */
  #step(view: Buffer): number {
    if (view.length < this.#wanted()) return -1;
    switch (this.#state) {
      case "header":
        return this.#header(view.subarray(0, blockLength));
      case "extension":
        return this.#extension(view);
      case "pieces":
        return this.#morePieces(view.subarray(0, blockLength));
      case "map":
        return this.#sparseMap(view);
      case "body":
        return this.#body(view);
      case "padding":
        return this.#next(this.#padding);
      case "trailer":
        return view.length;
      default:
        return this.#state satisfies never;
    }
  }

  /** Bytes that the next step takes at least. */
  #wanted(): number {
    if (this.#state === "header" || this.#state === "pieces") return blockLength;
    return this.#state === "extension" || this.#state === "padding" ? this.#padding : 1;
  }

  #next(used: number): number {
    this.#state = "header";
    return used;
  }

  #header(block: Buffer): number {
    if (block.every((byte) => byte === 0)) {
      this.#state = "trailer";
      return blockLength;
    }
    checkBlock(block);
    this.#block = Buffer.from(block);
    if (!"xgXLKV".includes(flagOf(block))) return this.#startMember();
    this.#left = sizeOf(block);
    if (this.#left > largestExtension) throw corrupt("an extended header is too large");
    this.#padding = paddedLength(this.#left);
    this.#state = "extension";
    return blockLength;
  }

  #extension(view: Buffer): number {
    const body = Buffer.from(view.subarray(0, this.#left));
    const flag = flagOf(this.#block);
    if (flag === "g") this.#globals.push(...decodePax(body));
    if (flag === "x" || flag === "X") this.#records.push(...decodePax(body));
    if (flag === "L") this.#name = readLongName(body);
    if (flag === "K") this.#linkname = readLongName(body);
    if (this.#globals.length > largestPieceCount) throw corrupt("it has too many global records");
    return this.#next(this.#padding);
  }

  #startMember(): number {
    const extension = this.#takeExtension();
    const header = decodeHeader(this.#block, extension);
    this.#pieces = [...(header.sparse ?? [])];
    if (flagOf(this.#block) === "S" && hasMorePieces(this.#block, "header")) this.#state = "pieces";
    else if (hasSparseMap(extension)) this.#state = "map";
    else this.#state = "body";
    this.#left = header.storedSize;
    this.#padding = paddedLength(this.#left) - this.#left;
    this.#member = header;
    if (this.#state === "body") this.#announce(blockLength);
    return blockLength;
  }

  #takeExtension(): { records: readonly PaxRecord[]; name: string | undefined; linkname: string | undefined } {
    const extension = {
      records: [...this.#globals, ...this.#records],
      name: this.#name,
      linkname: this.#linkname,
    };
    this.#records = [];
    this.#name = undefined;
    this.#linkname = undefined;
    return extension;
  }

  #morePieces(block: Buffer): number {
    this.#pieces.push(...readPieces(block));
    if (this.#pieces.length > largestPieceCount) throw corrupt("a sparse file has too many pieces");
    if (!hasMorePieces(block, "extension")) this.#announce(blockLength);
    return blockLength;
  }

  /** Decimal lines: the number of pieces, then offset and length of each; padded to whole blocks, part of the body. */
  #sparseMap(view: Buffer): number {
    const limit = Math.min(this.#left, view.length, largestExtension);
    const lines = view.toString("latin1", 0, limit).split("\n");
    const count = lines.length > 1 ? parseCount(lines[0] ?? "") : 0;
    if (count > largestPieceCount) throw corrupt("a sparse file has too many pieces");
    const wanted = 1 + 2 * count;
    if (lines.length <= wanted) {
      if (limit < view.length || limit === this.#left) throw corrupt("a sparse file's map ends early");
      return -1;
    }
    const mapLength = lines.slice(0, wanted).reduce((sum, line) => sum + line.length + 1, 0);
    const used = paddedLength(mapLength);
    if (used > view.length) return used > this.#left ? this.#failMap() : -1;
    this.#pieces = [...pairPieces(lines.slice(1, wanted).map(parseCount))];
    this.#left -= used;
    this.#announce(used);
    return used;
  }

  #failMap(): never {
    throw corrupt("a sparse file's map ends early");
  }

  /** The body starts `ahead` bytes from here. */
  #announce(ahead: number): void {
    const header = this.#member;
    if (header === undefined) return;
    const isSparse = header.sparse !== undefined || this.#state === "map" || this.#state === "pieces";
    if (isSparse) this.#checkPieces(header.size);
    else this.#pieces = [{ offset: 0, length: header.size }];
    this.#piece = 0;
    this.#inPiece = 0;
    this.#handler.member(isSparse ? { ...header, sparse: this.#pieces } : header, this.#offset + ahead);
    this.#state = "body";
    if (this.#left === 0) this.#endMember();
  }

  #checkPieces(size: number): void {
    let [end, stored] = [0, 0];
    for (const { offset, length } of this.#pieces) {
      if (offset < end || offset + length > size) throw corrupt("a sparse file's pieces overlap");
      end = offset + length;
      stored += length;
    }
    if (stored !== this.#left) throw corrupt("a sparse file's pieces are not its body");
  }

  #body(view: Buffer): number {
    const piece = this.#pieces[this.#piece];
    if (piece === undefined) throw corrupt("a body is longer than its file");
    const used = Math.min(view.length, this.#left, piece.length - this.#inPiece);
    if (used > 0) this.#handler.bytes(view.subarray(0, used), piece.offset + this.#inPiece);
    this.#left -= used;
    this.#inPiece += used;
    if (this.#inPiece === piece.length) {
      this.#piece++;
      this.#inPiece = 0;
    }
    if (this.#left === 0) this.#endMember();
    return used;
  }

  #endMember(): void {
    this.#handler.end();
    this.#state = this.#padding === 0 ? "header" : "padding";
  }
}

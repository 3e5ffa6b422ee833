import { open } from "node:fs/promises";
import type { UploadRequest, UploadState } from "@varve/cache";
import type { Database, Transaction } from "../database/database.ts";
import { receivedKey, uploadKey } from "../database/keys.ts";
import { explainWriteError, ServerError } from "../errors.ts";
import type { Principal } from "../trust/principal.ts";
import { beginUpload } from "./begin-upload.ts";
import type { BlobFiles } from "./blob-files.ts";
import type { Blobs } from "./blobs.ts";
import { commitUpload } from "./commit-upload.ts";
import type { Holds } from "./holds.ts";
import type { Quotas } from "./quotas.ts";
import { type ExpectedPart, receiveParts } from "./receive-parts.ts";
import type { Room } from "./room.ts";
import { encodeBits, missingPositions, readReceived, readUploadRow, setBit, type UploadRow } from "./upload-rows.ts";

/** Uploads by parts; each belongs to the principal that began it. */
export interface Uploads {
  /** Begins an upload; undefined where the blob is readable already. */
  begin(request: UploadRequest, principal: Principal): Promise<UploadState | undefined>;
  state(id: string, principal: Principal): UploadState;
  /** The missing parts that `count` and `first` mean, and how many bytes they have. */
  expect(id: string, wanted: WantedParts): { readonly parts: readonly ExpectedPart[]; readonly size: number };
  /** Receives parts; those that are complete stay, whatever becomes of the others. */
  receive(id: string, wanted: WantedParts, content: AsyncIterable<Uint8Array>): Promise<UploadState>;
  /** Makes the blob readable to the writer's lane. */
  commit(id: string, principal: Principal): Promise<void>;
  cancel(id: string, principal: Principal): Promise<void>;
  /** Ends uploads that nobody has touched for their time, and removes files that belong to none. */
  sweep(): Promise<void>;
  /** How many are under way. */
  count(): number;
}

/** Missing parts: `count` of them, from position `first` on. */
export interface WantedParts {
  readonly first: number;
  readonly count: number;
  readonly principal: Principal;
}

export interface UploadsOptions {
  readonly database: Database;
  readonly files: BlobFiles;
  readonly blobs: Blobs;
  readonly room: Room;
  readonly holds: Holds;
  readonly quotas: Quotas;
  /** How long an upload lives that nobody touches. Milliseconds. */
  readonly lifetime: number;
}

/** What goes on with an upload in this process. */
export interface ActiveUpload {
  readonly release: () => void;
  /** Requests that write into its file now. */
  writers: number;
  isCommitting: boolean;
}

/** Continues the uploads that were under way when the server ended. */
export async function openUploads(options: UploadsOptions): Promise<Uploads> {
  const { database, files } = options;
  const active = new Map<string, ActiveUpload>();
  await reopen(active, options);
  const find = (id: string, principal: Principal): UploadRow => {
    const row = readUploadRow(database.get, id);
    if (row === undefined || !active.has(id) || row.principal !== principal.name || row.lane !== principal.lane)
      throw new ServerError("NOT_FOUND", `Cannot find upload "${id}": it is over, or someone else's`);
    return row;
  };
  const remove = async (id: string): Promise<void> => {
    await database.change((rows) => removeUploadRow(rows, id));
    await files.remove(files.uploadPath(id));
    active.get(id)?.release();
    active.delete(id);
  };
  return {
    async begin(request, principal) {
      const begun = await beginUpload(request, principal, { ...options, active });
      return begun === undefined ? undefined : stateOf(database, begun.id, begun.row);
    },
    state: (id, principal) => stateOf(database, id, find(id, principal)),
    expect: (id, wanted) => expectParts(find(id, wanted.principal), readReceived(database.get, id), wanted),
    async receive(id, wanted, content) {
      const row = find(id, wanted.principal);
      await receive({ id, row, wanted, upload: active.get(id) }, content, options);
      return stateOf(database, id, find(id, wanted.principal));
    },
    async commit(id, principal) {
      const row = find(id, principal);
      const upload = active.get(id);
      if (upload === undefined || upload.writers > 0 || upload.isCommitting)
        throw new ServerError("REQUEST_INVALID", `Cannot commit upload "${id}": parts are still on their way`);
      upload.isCommitting = true;
      try {
        await commitUpload(id, row, { ...options, lanes: principal.readChain });
        await remove(id);
      } finally {
        upload.isCommitting = false;
      }
    },
    async cancel(id, principal) {
      find(id, principal);
      await remove(id);
    },
    async sweep() {
      for await (const [key, text] of database.list("upload/")) {
        const id = key.slice("upload/".length);
        const upload = active.get(id);
        if (upload !== undefined && (upload.writers > 0 || upload.isCommitting)) continue;
        if ((JSON.parse(text) as UploadRow).expiresAt < Date.now()) await remove(id);
      }
      for (const id of await files.listUploads()) {
        if (!active.has(id)) await files.remove(files.uploadPath(id));
      }
    },
    count: () => active.size,
  };
}

/** Uploads of an earlier process go on, where there is room for them. */
async function reopen(active: Map<string, ActiveUpload>, { database, room }: UploadsOptions): Promise<void> {
  for await (const [key, text] of database.list("upload/")) {
    const id = key.slice("upload/".length);
    const { size, expiresAt } = JSON.parse(text) as UploadRow;
    const release = expiresAt < Date.now() ? undefined : await room.reserve(size).catch(() => undefined);
    if (release === undefined) await database.change((rows) => removeUploadRow(rows, id));
    else active.set(id, { release, writers: 0, isCommitting: false });
  }
}

function removeUploadRow(rows: Transaction, id: string): void {
  rows.delete(uploadKey(id));
  rows.delete(receivedKey(id));
}

function stateOf(database: Database, id: string, row: UploadRow): UploadState {
  const missing = missingPositions(row, readReceived(database.get, id));
  return { id, missing, expiresAt: new Date(row.expiresAt).toISOString() };
}

function expectParts(
  row: UploadRow,
  received: Uint8Array,
  { first, count }: WantedParts,
): { readonly parts: readonly ExpectedPart[]; readonly size: number } {
  const wanted = new Set(
    missingPositions(row, received)
      .filter((position) => position >= first)
      .slice(0, count),
  );
  const parts: ExpectedPart[] = [];
  let offset = 0;
  for (const [position, part] of row.parts.entries()) {
    if (wanted.has(position)) parts.push({ ...part, position, offset });
    offset += part.size;
  }
  return { parts, size: parts.reduce((sum, part) => sum + part.size, 0) };
}

interface Receiving {
  readonly id: string;
  readonly row: UploadRow;
  readonly wanted: WantedParts;
  readonly upload: ActiveUpload | undefined;
}

async function receive(
  { id, row, wanted, upload }: Receiving,
  content: AsyncIterable<Uint8Array>,
  { database, files, lifetime }: UploadsOptions,
): Promise<void> {
  if (upload === undefined || upload.isCommitting)
    throw new ServerError("NOT_FOUND", `Cannot receive parts of upload "${id}": it is being committed`);
  const { parts } = expectParts(row, readReceived(database.get, id), wanted);
  const complete: number[] = [];
  upload.writers += 1;
  try {
    const file = await open(files.uploadPath(id), "r+");
    try {
      await receiveParts(file, content, { parts, onPart: (position) => complete.push(position) });
    } finally {
      await file.close();
      await database.change((rows) => markReceived(rows, { id, complete, expiresAt: Date.now() + lifetime }));
    }
  } catch (error) {
    throw explainWriteError(error);
  } finally {
    upload.writers -= 1;
  }
}

function markReceived(
  rows: Transaction,
  {
    id,
    complete,
    expiresAt,
  }: { readonly id: string; readonly complete: readonly number[]; readonly expiresAt: number },
): void {
  const row = readUploadRow(rows.get, id);
  if (row === undefined) return;
  const bits = new Uint8Array(Math.ceil(row.parts.length / 8));
  bits.set(readReceived(rows.get, id));
  for (const position of complete) setBit(bits, position, 1);
  rows.put(receivedKey(id), encodeBits(bits));
  rows.put(uploadKey(id), JSON.stringify({ ...row, expiresAt }));
}

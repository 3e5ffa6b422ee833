export type { Entry, EntryType, FileContent, FileTree } from "./entry.ts";
export type { IndexEntry, LayerIndex, Segment } from "./layer-index.ts";
export { LayerError, type LayerErrorCode } from "./errors.ts";
export {
  scanDirectory,
  type FileIdentity,
  type ScanChoice,
  type ScannedEntry,
  type ScanOptions,
} from "./scan-directory.ts";
export { joinHardlinks } from "./join-hardlinks.ts";
export { digestFile, digestFiles, digestOrdered, treeDigest, TreeSum } from "./tree-digest.ts";
export { digestPaths } from "./digest-paths.ts";
export type { DigestedPath } from "./digest-work.ts";
export { orderEntries, orderTurns, sortEntries } from "./order-entries.ts";
export { packLayer, packOrdered, type PackedLayer, type PackOptions, type SegmentReuse } from "./pack-layer.ts";
export type { EarlierSegment } from "./segment-work.ts";
export type { Compression } from "./compression.ts";
export { decodeLayerIndex, encodeLayerIndex, layerIndexMediaType } from "./index-codec.ts";
export { indexLayer } from "./index-layer.ts";
export { tarSum } from "./tar-sum.ts";
export { readLayer, type LayerEntry } from "./read-layer.ts";
export { applyLayer, extractLayer, type ExtractLimits, type ExtractOptions } from "./extract-layer.ts";
export type { OverlayForm } from "./tree-writer.ts";
export { impliedDirectories, stackTrees, type StackedLayer } from "./stack-trees.ts";
export { resolvePath, walkTree, type ResolvedPath } from "./resolve-path.ts";
export { diffTree, diffUpper, type DiffOptions } from "./diff-tree.ts";
export { lgetxattr, llistxattr, lsetxattr, lutimens, mknod, mount, umount2 } from "./libc.ts";
export { readXattrs, writeXattrs } from "./xattrs.ts";
export { openLayerFile } from "./open-layer-file.ts";
export { readTar, type TarMember } from "./read-tar.ts";
export type { TarHeader } from "./read-header.ts";
export { chunksOf, type NewMember, type TarPart, tarParts, writeTar } from "./write-tar.ts";
export { type ArchiveFormat, decompress, detectArchive } from "./decompress.ts";
export { type IndexArchiveOptions, indexArchive, type IndexedArchive } from "./index-archive.ts";
export { copyFile, type FileCopy } from "./copy-file.ts";
export { writeTree } from "./write-tree.ts";
export { startThreads } from "./worker-pool.ts";

export { completeInStore } from "./assemble-image.ts";
export { build, type BuildCounts, type BuildResult, type BuiltImage, DEFAULT_CONCURRENCY } from "./build.ts";
export { downloadFile, type DownloadOptions } from "./copy/download.ts";
export { checkOutRepository, type GitOptions } from "./copy/git.ts";
export { type ContextSource } from "./context/context-tree.ts";
export { type ExecutorErrorCode, StepError, type StepPlace } from "./errors.ts";
export { type Attachment, type BindMount, type TmpfsMount } from "./runner.ts";
export { type BuildEvent, type OnBuildEvent } from "./events.ts";
export {
  type Cause,
  type CausePlace,
  type FileChanges,
  type MissReason,
  type NamedFiles,
} from "./explain/miss-reason.ts";
export { predict, type StepPrediction } from "./predict.ts";
export { createTravellingMounts, type TravellingMounts } from "./mounts/travelling-mounts.ts";
export { detectEmulator, type Emulation } from "./run/detect-emulator.ts";
export { findProgram } from "./run/find-program.ts";
export { probeRunners, type RunnerProbe, selectRunner } from "./run/select-runner.ts";
export { inUserNamespace, type NamespaceCommand, userNamespaceCommand } from "./run/user-namespace.ts";
export { type BuildOptions, type Compression, type SecretSource } from "./session.ts";
export { selectSnapshotter } from "./snapshot/select-snapshotter.ts";
export { encodeGoJson, toDockerConfig } from "./archive/docker-config.ts";
export { type ArchivedImage } from "./archive/archived-image.ts";
export { type ImageArchive, openImageArchive } from "./archive/open-image-archive.ts";
export {
  dockerArchive,
  dockerName,
  type NamedImage,
  ociArchive,
  ociDirectory,
  saveDockerArchive,
  saveOciArchive,
} from "./export/export-archive.ts";
export { saveV1Archive } from "./export/v1-archive.ts";
export { exportLocal, exportTar, type RootfsExportOptions } from "./export/export-rootfs.ts";
export { type ImageOutput } from "./export/image-output.ts";
export { dockerHost } from "./export/docker-host.ts";
export { loadIntoDocker, pingDocker, saveFromDocker } from "./export/load-docker.ts";
export { type Annotations, rewriteImages, type RewriteOptions } from "./export/rewrite-images.ts";
export { writeFileWhole, writeStream } from "./export/write-file.ts";
export { compareTrees, type EntryPart, type TreeChange } from "./images/compare-trees.ts";
export { type HistoryLine, imageHistory } from "./images/image-history.ts";
export { type ImageFacts, inspectImage } from "./images/inspect-image.ts";
export { type ImageCommand, runImage } from "./images/run-image.ts";
export { readLayerIndexes } from "./images/layer-indexes.ts";
export { listMountedImages, type MountedImage, mountImage, unmountImage } from "./images/mount-image.ts";
export { unpackImage } from "./images/unpack-image.ts";
export { type LayerUsage, layerUsage } from "./images/layer-usage.ts";

import type { Instruction, Stage, Warning } from "@varve/dockerfile";
import { formatPlatform, type Image, type Platform } from "@varve/oci";
import { baseError } from "./base-error.ts";
import type { BuildGraph, FromStep } from "./step.ts";

/** How images are found, and who is told of what is wrong with them. */
export interface ImageStepOptions {
  /** Those of the Dockerfile: a name that is close to one was probably meant to be it. */
  readonly stages: readonly Stage[];
  readonly resolveImage: (reference: string, platform: Platform) => Promise<Image>;
  readonly onCheck: ((warning: Warning) => void) | undefined;
}

/** Where an image is asked for, and for which platform. */
export interface ImageUse {
  readonly platform: Platform;
  readonly instruction: Instruction;
}

/** Gives each image's step once for a platform. */
export interface ImageSteps {
  /** @throws GraphError `BASE_INVALID`, and what `resolveImage` throws, with its place. */
  step(reference: string, use: ImageUse): Promise<FromStep>;
  /** The images that were found. */
  bases(): BuildGraph["bases"];
}

/** The steps of images, none of them asked for yet. */
export function createImageSteps(options: ImageStepOptions): ImageSteps {
  const images = new Map<string, Promise<FromStep>>();
  const bases = new Map<string, BuildGraph["bases"][number]>();
  return {
    step(reference, use) {
      if (/^(?:docker-image:\/\/)?scratch$/.test(reference)) return Promise.resolve(scratchStep(use.platform));
      const key = JSON.stringify([reference, use.platform]);
      const known = images.get(key);
      if (known !== undefined) return known;
      const made = resolveStep(reference, use, options).then(({ step, image }) => {
        bases.set(reference, { reference, descriptor: image.descriptor });
        return step;
      });
      images.set(key, made);
      return made;
    },
    bases: () => [...bases.values()],
  };
}

/** The empty file system. */
export function scratchStep(platform: Platform): FromStep {
  return { kind: "from", name: "FROM scratch", location: undefined, platform, source: { type: "scratch" } };
}

async function resolveStep(
  reference: string,
  use: ImageUse,
  { stages, resolveImage, onCheck }: ImageStepOptions,
): Promise<{ readonly step: FromStep; readonly image: Image }> {
  const { platform, instruction } = use;
  let image: Image;
  try {
    image = await resolveImage(reference, platform);
  } catch (cause) {
    throw baseError(cause, { reference, instruction, stages });
  }
  const { os, architecture, variant } = image.config;
  const actual: Platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  if (os !== platform.os || architecture !== platform.architecture)
    onCheck?.({
      rule: "InvalidBaseImagePlatform",
      message: `Base image ${reference} was pulled with platform "${formatPlatform(actual)}", expected "${formatPlatform(platform)}" for current build`,
      location: instruction.location,
    });
  const step: FromStep = {
    kind: "from",
    name: `FROM ${reference}`,
    location: instruction.location,
    platform: actual,
    source: { type: "image", reference, image },
  };
  return { step, image };
}

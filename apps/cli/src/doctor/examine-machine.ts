import { release } from "node:os";
import { detectEmulator, findProgram, probeRunners, userNamespaceCommand } from "@varve/executor";
import { formatPlatform, hostPlatform, parsePlatform } from "@varve/oci";
import type { Finding } from "./finding.ts";

/** What varve runs on. */
export function examineSystem(): readonly Finding[] {
  return [
    { topic: "node", name: "", state: "works", text: process.version },
    { topic: "kernel", name: "", state: "note", text: `${release()}, ${formatPlatform(hostPlatform())}` },
    examineUser(),
  ];
}

/** An ordinary user's builds run in a user namespace. */
function examineUser(): Finding {
  const uid = process.getuid?.();
  if (uid === 0) return { topic: "user", name: "", state: "works", text: "root" };
  const found = userNamespaceCommand(["true"]);
  const common = { topic: "user", name: `uid ${uid}` };
  if ("problem" in found) return { ...common, state: "off", text: found.problem, hint: found.hint };
  if (found.ids === "range") return { ...common, state: "works", text: "builds in a user namespace" };
  return {
    ...common,
    state: "off",
    text: "builds in a user namespace that only has root, so that no file can belong to another user",
    hint: "Give the user ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, and install uidmap",
  };
}

/** What can run RUN steps and `varve run`. */
export async function examineRunners(): Promise<readonly Finding[]> {
  return (await probeRunners()).map(({ name, problem, hint, note }): Finding =>
    problem === undefined
      ? { topic: "runner", name, state: "works", text: note ?? "" }
      : { topic: "runner", name, state: "off", text: problem, hint: runnerHint(name, hint) },
  );
}

/** An OCI runtime that is installed and does not work needs no installing. */
function runnerHint(name: string, hint: string): string {
  const isBroken = (name === "runc" || name === "crun") && findProgram(name) !== undefined;
  return isBroken ? "one runner that works is enough" : hint;
}

const FOREIGN = [
  "linux/amd64",
  "linux/arm64",
  "linux/arm/v7",
  "linux/386",
  "linux/riscv64",
  "linux/ppc64le",
  "linux/s390x",
];

/** Platforms whose programs can be run; for others, images without RUN can be built. */
export function examinePlatforms(): readonly Finding[] {
  return FOREIGN.map((name): Finding => {
    try {
      const found = detectEmulator(parsePlatform(name));
      const text = found.type === "native" ? "" : `by ${found.interpreter}`;
      return { topic: "platform", name, state: "works", text };
    } catch (error) {
      const { hint } = error as { readonly hint?: string };
      return { topic: "platform", name, state: "off", text: "no emulator", ...(hint === undefined ? {} : { hint }) };
    }
  });
}

const PROGRAMS: readonly (readonly [name: string, purpose: string])[] = [
  ["git", "ADD and build contexts from repositories"],
  ["xz", "archives compressed by xz"],
  ["bzip2", "archives compressed by bzip2"],
];

/** Programs that varve starts for some things. */
export function examinePrograms(): readonly Finding[] {
  return PROGRAMS.map(([name, purpose]): Finding => {
    const path = findProgram(name);
    return path === undefined
      ? { topic: "program", name, state: "off", text: `absent: needed for ${purpose}`, hint: `Install ${name}` }
      : { topic: "program", name, state: "works", text: path };
  });
}

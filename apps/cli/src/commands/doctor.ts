import type { Command } from "../command.ts";
import { examinePlatforms, examinePrograms, examineRunners, examineSystem } from "../doctor/examine-machine.ts";
import { examineCredentials, examineDocker } from "../doctor/examine-services.ts";
import { examineStore } from "../doctor/examine-store.ts";
import type { Finding } from "../doctor/finding.ts";
import { formatTable } from "../format-table.ts";
import { storePath } from "../store-path.ts";

/** `varve doctor`: 0 where builds with RUN work here, 1 where they do not. */
export const doctorCommand: Command = {
  usage: "[OPTIONS]",
  description:
    "Says what works on this machine, and why the rest does not, with what would help. Exit code 1: RUN can't work here, or the store can't be used.",
  flags: [
    { name: "store", value: "DIR", description: "The store to look at" },
    { name: "json", description: "As JSON" },
  ],
  examples: ["varve doctor"],
  async run(flags) {
    const findings: readonly Finding[] = [
      ...examineSystem(),
      ...(await examineStore(storePath(flags.value("store")))),
      ...(await examineRunners()),
      ...examinePlatforms(),
      ...examinePrograms(),
      await examineDocker(),
      ...examineCredentials(),
    ];
    process.stdout.write(flags.is("json") ? `${JSON.stringify(findings, undefined, 2)}\n` : formatFindings(findings));
    return canBuild(findings) ? 0 : 1;
  },
};

function canBuild(findings: readonly Finding[]): boolean {
  const works = (topic: string): boolean => findings.some((each) => each.topic === topic && each.state === "works");
  return works("runner") && works("store");
}

const MARKS: Readonly<Record<Finding["state"], string>> = { works: "ok", off: "no", note: "" };

/** A line for each, and under them what helps; one hint that is the same for several stands once. */
function formatFindings(findings: readonly Finding[]): string {
  const rows = findings.map(({ topic, name, state, text }) => [
    MARKS[state],
    topic,
    [name, text].filter((part) => part !== "").join(": "),
  ]);
  const hints = new Map<string, string[]>();
  for (const { topic, name, hint } of findings)
    if (hint !== undefined) hints.set(hint, [...(hints.get(hint) ?? []), name === "" ? topic : name]);
  const lines = Array.from(hints, ([hint, names]) => `hint: ${names.join(", ")}: ${hint}\n`);
  return `${formatTable(rows)}${lines.length === 0 ? "" : "\n"}${lines.join("")}`;
}

import { digestOf } from "@varve/oci";
import type { NotedInput, StepNote } from "../../src/explain/step-note.ts";

/** A note of a RUN; `result` is named by a word. */
export function note(
  text: string,
  more: Partial<Omit<StepNote, "result">> & { readonly result?: string } = {},
): StepNote {
  const { result = text, ...rest } = more;
  return {
    kind: "run",
    stage: "",
    platform: "linux/amd64",
    position: 2,
    text,
    definition: { "definition.args": JSON.stringify(["/bin/sh", "-c", text]) },
    variables: {},
    buildArgs: [],
    inputs: [],
    keys: [digestOf(Buffer.from(text))],
    result: digestOf(Buffer.from(result)),
    ...rest,
  };
}

/** A note of a FROM. */
export function base(reference: string, digest: string): StepNote {
  const id = digestOf(Buffer.from(digest));
  const more = { kind: "from", position: 1, definition: {}, keys: [], base: { reference, digest: id } } as const;
  return note(`FROM ${reference}`, { ...more, result: digest });
}

/** A note of a COPY of files whose digest is named by a word. */
export function copy(name: string, content: string, more: Partial<StepNote> = {}): StepNote {
  const input: NotedInput = { type: "files", name, digest: digestOf(Buffer.from(content)) };
  const definition = { "definition.destination": "/", "definition.link": "false" };
  return { ...note(`COPY ${name} /`, { result: content }), kind: "copy", definition, inputs: [input], ...more };
}

import { type Option, OPTIONS } from "./options.ts";

/** The JSON schema (2020-12) of `varve.json`, and of the member `varve` of `package.json`. */
export function configSchema(): object {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "varve",
    description: "Defaults of the flags of varve build. Paths are relative to the file's directory.",
    type: "object",
    properties: {
      $schema: { type: "string" },
      context: { type: "string", description: "Directory of the build context, where the command line names none" },
      ...Object.fromEntries(OPTIONS.map((option) => [option.key, schemaOf(option)])),
    },
    additionalProperties: false,
  };
}

function schemaOf({ key, flag, separator }: Option): object {
  const description = flag.description;
  if (flag.value === undefined) return { type: "boolean", description };
  const scalar = ["string", "number"];
  if (flag.list !== true) return { type: scalar, description };
  const list = { type: "array", items: { type: scalar } };
  const part = [...scalar, "boolean", ...(key === "buildArg" ? ["null"] : [])];
  const pairs = { type: "object", additionalProperties: { type: part } };
  return { anyOf: [{ type: scalar }, list, ...(separator === undefined ? [] : [pairs])], description };
}

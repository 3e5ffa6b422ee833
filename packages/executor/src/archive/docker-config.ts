import type { ContainerConfig, Healthcheck } from "@varve/oci";

/**
 * A config with all members that Docker writes, in its order, and no others: the Config of the Engine API and of image
 * specification 1.
 */
export function toDockerConfig(config: ContainerConfig & Readonly<Record<string, unknown>>): Record<string, unknown> {
  const optional = (name: string): Record<string, unknown> => (config[name] ? { [name]: config[name] } : {});
  const isOn = (name: string): boolean => config[name] === true;
  return {
    Hostname: config["Hostname"] ?? "",
    Domainname: config["Domainname"] ?? "",
    User: config.User ?? "",
    AttachStdin: isOn("AttachStdin"),
    AttachStdout: isOn("AttachStdout"),
    AttachStderr: isOn("AttachStderr"),
    ...withSortedKeys(optional("ExposedPorts")),
    Tty: isOn("Tty"),
    OpenStdin: isOn("OpenStdin"),
    StdinOnce: isOn("StdinOnce"),
    Env: config.Env ?? null,
    Cmd: config.Cmd ?? null,
    ...orderHealthcheck(config.Healthcheck),
    ...optional("ArgsEscaped"),
    Image: config["Image"] ?? "",
    Volumes: sortKeys(config.Volumes) ?? null,
    WorkingDir: config.WorkingDir ?? "",
    Entrypoint: config.Entrypoint ?? null,
    ...optional("NetworkDisabled"),
    ...optional("MacAddress"),
    OnBuild: config.OnBuild ?? null,
    Labels: sortKeys(config.Labels) ?? null,
    ...optional("StopSignal"),
    ...optional("StopTimeout"),
    ...optional("Shell"),
  };
}

function orderHealthcheck(healthcheck: Healthcheck | undefined): Record<string, unknown> {
  if (healthcheck === undefined) return {};
  const names = ["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"] as const;
  const members = names.flatMap((name) => (healthcheck[name] ? [[name, healthcheck[name]]] : []));
  return { Healthcheck: Object.fromEntries(members) };
}

/** A time as Go writes it: RFC 3339 without zeros at the end of the fraction. */
export function toGoTime(time: string | undefined): string {
  return (time ?? "0001-01-01T00:00:00Z").replace(/(\.\d*?)0+(?=Z|[+-])/, (_, kept: string) =>
    kept === "." ? "" : kept,
  );
}

function withSortedKeys(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, sortKeys(value as object)]));
}

/** Go writes maps in the order of their keys. */
function sortKeys(map: object | undefined | null): object | undefined {
  if (map === undefined || map === null) return undefined;
  return Object.fromEntries(Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** JSON as Go writes it: with <, > and & as escapes. */
export function encodeGoJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

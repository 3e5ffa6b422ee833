import { isIP } from "node:net";
import type { Location } from "@varve/dockerfile";
import { GraphError } from "./errors.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"];
const MAX_PORT = 65_535;

/** First and last port. */
type Range = readonly [first: number, last: number];

/**
 * The ports of one EXPOSE word as the config has them: `80` is `80/tcp`, `8000-8002/udp` three ports. A host part
 * (`1:2`, `127.0.0.1:1:2`) is checked, as BuildKit does, and left out.
 * @throws GraphError `PORT_INVALID`.
 */
export function parsePorts(word: string, location: Location): readonly string[] {
  const invalid = (reason: string): GraphError =>
    new GraphError("PORT_INVALID", `Cannot expose port: ${reason}`, {
      location,
      word,
      hint: "Write PORT, FIRST-LAST or PORT/udp",
    });
  const parts = word.split(":");
  const [ports, protocolWord] = splitOnce(parts.pop() ?? "", "/");
  const hostPorts = parts.pop() ?? "";
  const address = parts.join(":");
  const protocol = (protocolWord ?? "").toLowerCase() || "tcp";
  if (ports === "") throw invalid(`no port specified: ${word}<empty>`);
  if (!PROTOCOLS.includes(protocol)) throw invalid(`invalid proto: ${protocol}`);
  if (address !== "" && isIP(address.replace(/^\[(.*)\]$/, "$1")) === 0)
    throw invalid(`invalid IP address: ${address}`);
  const range = parseRange(ports);
  if (range === undefined) throw invalid(`invalid containerPort: ${ports}`);
  const hostRange = hostPorts === "" ? range : parseRange(hostPorts);
  if (hostRange === undefined) throw invalid(`invalid hostPort: ${hostPorts}`);
  if (count(range) > 1 && count(range) !== count(hostRange))
    throw invalid(`invalid ranges specified for container and host Ports: ${ports} and ${hostPorts}`);
  return Array.from({ length: count(range) }, (_, offset) => `${range[0] + offset}/${protocol}`);
}

function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const position = text.indexOf(separator);
  return position < 0 ? [text, undefined] : [text.slice(0, position), text.slice(position + 1)];
}

function parseRange(text: string): Range | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return last < first || last > MAX_PORT ? undefined : [first, last];
}

function count([first, last]: Range): number {
  return last - first + 1;
}

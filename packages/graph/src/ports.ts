import type { Location } from "@varve/dockerfile";
import { GraphError } from "./errors.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"];
const MAX_PORT = 65_535;

/**
 * The ports of one EXPOSE word as the config has them: `80` is `80/tcp`, `8000-8002/udp` three ports. A host part
 * (`1:2`, `127.0.0.1:1:2`) is left out.
 * @throws GraphError `PORT_INVALID`.
 */
export function parsePorts(word: string, location: Location): readonly string[] {
  const slash = word.lastIndexOf("/");
  const protocol = (slash < 0 ? "tcp" : word.slice(slash + 1)).toLowerCase() || "tcp";
  const ports = slash < 0 ? word : word.slice(0, slash);
  const range = ports.slice(ports.lastIndexOf(":") + 1);
  const match = /^(\d+)(?:-(\d+))?$/.exec(range);
  if (match === null) throw invalid(`invalid containerPort: ${range}`, location);
  if (!PROTOCOLS.includes(protocol)) throw invalid(`invalid proto: ${protocol}`, location);
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  if (last < first || last > MAX_PORT) throw invalid(`invalid containerPort: ${range}`, location);
  return Array.from({ length: last - first + 1 }, (_, offset) => `${first + offset}/${protocol}`);
}

function invalid(reason: string, location: Location): GraphError {
  return new GraphError("PORT_INVALID", `Cannot expose port: ${reason}`, {
    location,
    hint: "Write PORT, FIRST-LAST or PORT/udp",
  });
}

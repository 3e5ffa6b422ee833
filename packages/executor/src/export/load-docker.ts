import { request } from "node:http";
import { StepError } from "../errors.ts";

const DEFAULT_SOCKET = "/var/run/docker.sock";

/**
 * Hands a docker archive to the Docker daemon that DOCKER_HOST names (a unix socket or tcp): Engine API, ImageLoad.
 * @throws StepError `EXPORT_FAILED`.
 */
export async function loadIntoDocker(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const host = process.env["DOCKER_HOST"] ?? `unix://${DEFAULT_SOCKET}`;
  const failed = (reason: string, cause?: unknown): StepError =>
    new StepError("EXPORT_FAILED", `Cannot load the image into Docker at "${host}": ${reason}`, {
      cause,
      hint: "Start Docker, set DOCKER_HOST, or write an archive with -o type=docker,dest=FILE",
    });
  const answer = await new Promise<{ readonly status: number; readonly body: string }>((resolve, reject) => {
    const target = host.startsWith("unix://")
      ? { socketPath: host.slice("unix://".length) }
      : { host: new URL(host).hostname, port: new URL(host).port };
    const call = request(
      {
        ...target,
        method: "POST",
        path: "/images/load?quiet=1",
        headers: { "content-type": "application/x-tar" },
        signal,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    call.on("error", (cause) => reject(failed((cause as NodeJS.ErrnoException).code ?? cause.message, cause)));
    void send(archive, call).catch((cause: unknown) =>
      call.destroy(cause instanceof Error ? cause : new Error(String(cause))),
    );
  });
  const error = /"error"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(answer.body)?.[1];
  if (answer.status !== 200 || error !== undefined)
    throw failed(error ?? `it answered ${answer.status}: ${answer.body.trim().slice(0, 200)}`);
}

async function send(archive: AsyncIterable<Uint8Array>, call: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of archive) {
    if (!call.write(chunk)) await new Promise<void>((resolve) => call.once("drain", resolve));
  }
  call.end();
}

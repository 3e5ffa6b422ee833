import { readSettings, type GivenSettings } from "../settings.ts";
import { startServer } from "../start-server.ts";

/** Serves until a signal comes; prints the address once it listens. */
export async function serve(file: string | undefined, flags: GivenSettings): Promise<number> {
  const settings = readSettings({ file, env: process.env, flags });
  const server = await startServer(settings);
  process.stdout.write(`${server.url}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await server.stop();
  return 0;
}

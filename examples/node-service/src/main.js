import { serve } from "@hono/node-server";
import { createApp } from "./app.js";

const server = serve({ fetch: createApp().fetch, port: Number(process.env.PORT ?? 3000) });

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.close());

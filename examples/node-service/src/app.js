import { randomUUID } from "node:crypto";
import { Hono } from "hono";

/** A pastebin that forgets everything when it ends. */
export function createApp() {
  const pastes = new Map();
  const app = new Hono();
  app.get("/health", (context) => context.json({ pastes: pastes.size, uid: process.getuid() }));
  app.post("/", async (context) => {
    const id = randomUUID();
    pastes.set(id, await context.req.text());
    return context.text(id, 201);
  });
  app.get("/:id", (context) => {
    const paste = pastes.get(context.req.param("id"));
    return paste === undefined ? context.text("no such paste", 404) : context.text(paste);
  });
  return app;
}

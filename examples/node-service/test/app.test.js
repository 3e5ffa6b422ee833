import assert from "node:assert/strict";
import { test } from "node:test";
import { createApp } from "../src/app.js";

test("a paste can be read again", async () => {
  const app = createApp();
  const posted = await app.request("/", { method: "POST", body: "hello" });
  assert.equal(posted.status, 201);
  const read = await app.request(`/${await posted.text()}`);
  assert.equal(await read.text(), "hello");
});

test("a paste that nobody wrote is not found", async () => {
  const answer = await createApp().request("/nothing");
  assert.equal(answer.status, 404);
});

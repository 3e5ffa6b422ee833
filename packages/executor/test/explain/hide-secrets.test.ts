import { expect, test } from "vitest";
import { hideSecrets } from "../../src/explain/hide-secrets.ts";

test("hideSecrets() hides what sounds secret and who logs in, and nothing else", () => {
  const hidden = hideSecrets({
    "definition.env.API_KEY": "sesame",
    "definition.env.KEYBOARD": "de",
    "definition.sources": '[{"type":"git","url":"https://me:sesame@host/x.git"},{"url":"git@host:x"}]',
    "definition.args": '["sh","-c","mail a@b.c"]',
    "definition.url": '{"url":"https://host/x?token=sesame","more":1}',
  });
  expect(hidden).toEqual({
    "definition.env.API_KEY": expect.stringMatching(/^hidden sha256:[0-9a-f]{12}$/) as string,
    "definition.env.KEYBOARD": "de",
    "definition.sources": '[{"type":"git","url":"https://host/x.git"},{"url":"git@host:x"}]',
    "definition.args": '["sh","-c","mail a@b.c"]',
    "definition.url": expect.stringMatching(/^\{"url":"https:\/\/host\/x\?sha256:[0-9a-f]{12}","more":1\}$/) as string,
  });
});

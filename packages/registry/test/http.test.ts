import { expect, test } from "vitest";
import { connectionError, isTlsFailure } from "../src/connection-error.ts";
import { backOff, isElsewhere } from "../src/http.ts";

test("backOff() doubles, up to a limit, and leaves half to chance", () => {
  for (const [attempt, most] of [
    [1, 250],
    [2, 500],
    [3, 1000],
    [10, 5000],
  ] as const) {
    const waits = Array.from({ length: 100 }, () => backOff(attempt));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(most / 2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(most);
    expect(new Set(waits).size).toBeGreaterThan(1);
  }
});

test.each([
  ["https://a/x", "https://a/y", false],
  ["https://a/x", "https://a:443/y", false],
  ["http://a/x", "https://a/y", false],
  ["https://a/x", "http://a/y", true],
  ["https://a/x", "https://a:444/y", true],
  ["https://a/x", "https://b.a/y", true],
])("isElsewhere() from %s to %s is %s", (from, to, elsewhere) => {
  expect(isElsewhere(from, to)).toBe(elsewhere);
});

test.each([
  ["CERT_HAS_EXPIRED", true],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", true],
  ["SELF_SIGNED_CERT_IN_CHAIN", true],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", true],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", true],
  ["ERR_TLS_CERT_ALTNAME_INVALID", true],
  ["ERR_SSL_WRONG_VERSION_NUMBER", true],
  ["ECONNRESET", false],
  ["ENOTFOUND", false],
  [undefined, false],
])("isTlsFailure(%s) is %s", (code, tls) => {
  expect(isTlsFailure(code)).toBe(tls);
});

test("connectionError() finds the code beneath, and prints no secret", () => {
  const cause = new TypeError("fetch failed", {
    cause: new AggregateError([Object.assign(new Error("x"), { code: "EHOSTUNREACH" })]),
  });
  const error = connectionError("https://user:pass@registry.example.com/v2/?token=1", cause);
  expect(error).toMatchObject({
    code: "UNREACHABLE",
    message: 'Cannot reach "registry.example.com": EHOSTUNREACH',
    url: "https://registry.example.com/v2/",
    retryable: true,
  });
});

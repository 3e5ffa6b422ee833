import { RegistryError } from "./errors.ts";
import { isLoopback } from "./settings.ts";

/** Codes that tell that the other side does not speak TLS at all. */
const NO_TLS = ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "EPROTO"];

/** Node's code for what went wrong, here or in a cause; undefined where there is none. */
export function codeOfFailure(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    const { code } = each as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
    if (each instanceof AggregateError && each.errors.length > 0) return codeOfFailure(each.errors[0]);
  }
  return undefined;
}

/** True where TLS could not be agreed on, which trying again does not change. */
export function isTlsFailure(code: string | undefined): boolean {
  return (
    code !== undefined && /^ERR_SSL|^ERR_TLS|CERT|^EPROTO$|UNABLE_TO_(?:VERIFY|GET)|^HOSTNAME_MISMATCH$/.test(code)
  );
}

/** The error for a request to `url` that had no answer. */
export function connectionError(url: string, cause: unknown): RegistryError {
  const code = codeOfFailure(cause);
  const reason = code ?? (cause instanceof Error ? cause.message : String(cause));
  const { host } = new URL(url);
  if (isTlsFailure(code))
    return new RegistryError("TLS_FAILED", `Cannot speak TLS to "${host}": ${reason}`, {
      url,
      cause,
      hint: tlsHint(code, host),
    });
  return new RegistryError("UNREACHABLE", `Cannot reach "${host}": ${reason}`, {
    url,
    cause,
    retryable: true,
    hint: unreachableHint(host),
  });
}

function tlsHint(code: string | undefined, host: string): string {
  return NO_TLS.includes(code ?? "")
    ? `If it speaks http, set VARVE_INSECURE_REGISTRIES=${host}`
    : "If its certificates come from an authority of your own, name that one's file in NODE_EXTRA_CA_CERTS";
}

function unreachableHint(host: string): string {
  const { env } = process;
  const proxy = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].find((name) => env[name]);
  if (proxy !== undefined && env["NODE_USE_ENV_PROXY"] !== "1" && !isLoopback(host))
    return `Check the network; ${proxy} is heeded where NODE_USE_ENV_PROXY=1 is set too`;
  return "Check the registry's name, that it runs, and the network";
}

import { RegistryError } from "./errors.ts";
import { readText } from "./http.ts";
import type { RepositoryRequest, Transport } from "./transport.ts";

/** A registry that never comes to an end of its tags. */
const MOST_PAGES = 10_000;

/**
 * The tags of a repository, page after page as the Link header leads. Distribution spec, "Listing Tags".
 * @throws RegistryError.
 */
export async function listTags(transport: Transport, request: RepositoryRequest): Promise<readonly string[]> {
  const tags: string[] = [];
  let page: string | undefined = `${transport.base}/tags/list`;
  for (let pages = 0; page !== undefined; pages += 1) {
    if (pages === MOST_PAGES) throw endless(page);
    const response = await transport.send(page, request);
    if (!response.ok) throw await transport.errorOf(response, { action: "list tags", subject: "repository" });
    tags.push(...parseTags(await readText(response), page));
    page = nextPage(response);
  }
  return tags;
}

function parseTags(body: string, url: string): readonly string[] {
  try {
    const { tags } = JSON.parse(body) as { readonly tags?: readonly string[] | null };
    return (tags ?? []).map(String);
  } catch {
    throw new RegistryError("PROTOCOL", "Cannot list tags: the registry's answer is not JSON", { url });
  }
}

/** RFC 8288. */
function nextPage(response: Response): string | undefined {
  const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
  return next !== undefined && URL.canParse(next, response.url) ? new URL(next, response.url).href : undefined;
}

function endless(url: string): RegistryError {
  return new RegistryError("PROTOCOL", `Cannot list tags: the registry has more than ${MOST_PAGES} pages of them`, {
    url,
  });
}

/** What `varve-cache help` prints. */
export const HELP = `varve-cache: one cache for a whole team

Usage:
  varve-cache [serve] [OPTIONS]            serve; prints the address once it listens
  varve-cache token create --name NAME [--lane LANE] [--read LANE,…] [--expires 90d] [--replace] [--admin]
  varve-cache token list [--json]
  varve-cache token revoke ID…
  varve-cache purge [--written-by TOKEN-ID|NAME] [--lane LANE] [--key PREFIX] [--producer TEXT] [--since 2h] [--before TIME]
                    [--server URL]         with an admin token in VARVE_CACHE_TOKEN; without --server, of a server that is stopped
  varve-cache key rotate                   sign with a new key from the next start on
  varve-cache schema                       the JSON Schema of the settings

Options:
  --config FILE        settings in JSON; --data and all others win over it
  --data DIR           all that is kept (varve-cache)
  --host ADDRESS       127.0.0.1 where it is left out; 0.0.0.0 for all
  --port N             7788; 0 takes a free one
  --anonymous read|write   what requests without a token may do
  --budget SIZE        most bytes that are stored, such as 200GB (20GB)
  --tls-cert FILE, --tls-key FILE
  --log-level LEVEL    debug, info, warn, error, silent
  and every other setting of docs/server.md as --its-name VALUE, or VARVE_CACHE_SERVER_ITS_NAME

Lanes: main, branch/NAME, dev/NAME, pr/NAME. docs/server.md and docs/security.md explain the rest.
`;

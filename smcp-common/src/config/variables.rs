//! The variables that stand for no key of `smcp.toml`, for the page of settings. A test looks for variables in the sources
//! that neither this list nor the comments of the example file have.

/// Their names, each with what it means.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "SMCP_DATA_DIR",
        "Directory of the database and keys, `--data-dir`; `smcp` in `XDG_DATA_HOME`, else `~/.local/share/smcp` (on macOS \
         `~/Library/Application Support/smcp`).",
    ),
    (
        "SMCP_CONFIG",
        "The file of settings, which must exist then; else `smcp.toml` here, else in the data directory, if there is one.",
    ),
    (
        "SMCP_SECRETS_KEY_FILE",
        "The file with the key of the secrets; else the credential `smcp-secrets.key` of systemd, else `secrets.key` in the data directory.",
    ),
    (
        "MCP_API_KEY",
        "A key that lets clients in, as the agent `legacy`.",
    ),
    ("MCP_API_KEYS", "More of these, joined by `,`."),
    (
        "MCP_AUTH_DISABLED",
        "On: nobody needs a key, on any address. Only where others cannot reach it.",
    ),
    (
        "MCP_AUTH_ALLOW_LOOPBACK",
        "Off, as `--require-auth`: callers on this machine need a key as well. On if not set.",
    ),
    (
        "SMCP_PROFILES",
        "A JSON file of tool profiles for `sanctum__tools`, or a directory of them.",
    ),
    (
        "SMCP_ATTACH_PROFILE",
        "The profile that agents start with, if there is one of that name.",
    ),
    (
        "SMCP_ADMIN_PREFIX",
        "Adds the profile `admin`, of the tools whose names begin so.",
    ),
    (
        "SMCP_NAME_…",
        "Settings of the plugin NAME, such as `SMCP_DEVOPS_APPS`: passed to it alone, where it asks for them; see its page.",
    ),
    (
        "SMCP_API_KEY",
        "The key that the command `smcp` shows to the API, `--api-key`; else the operator's key in the data directory.",
    ),
    (
        "LETTA_SERVER_URL, LETTA_SERVER_PASSWORD, LETTA_API_KEY, LETTA_AGENT_ID",
        "Where Letta is, for `smcp secrets import-letta` alone; what is not set is read from `~/.letta/.env`.",
    ),
];

#!/bin/sh
# Runs smcp in a container. An API that listens on more than the container itself needs a key: where none is given (MCP_API_KEY,
# MCP_API_KEYS), one is made at the first start and kept in the data directory.
set -eu

key_file="$SMCP_DATA_DIR/api.key"

case "${1:-}" in
up | api)
    if [ -z "${MCP_API_KEY:-}" ] && [ -z "${MCP_API_KEYS:-}" ]; then
        if [ ! -s "$key_file" ]; then
            (umask 077 && printf 'smcp_%s\n' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >"$key_file")
            echo "A key was made for clients; it is in $key_file." >&2
        fi
        MCP_API_KEY=$(cat "$key_file")
        export MCP_API_KEY
    fi
    ;;
esac
exec smcp "$@"

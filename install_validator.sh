#!/usr/bin/env bash
# Installs a validator on a server. Run it on your own machine, where your wallet is.
set -euo pipefail

readonly service=validator
readonly source=${COMPUTE_HORDE_SOURCE:-https://github.com/backend-developers-ltd/ComputeHorde/raw/master}
# Variables that are written into .env on the server if they are set here.
readonly variables=(
    COMPUTE_HORDE_IMAGES COMPUTE_HORDE_VERSION AUTOMATIC_UPDATES MIGRATING BITTENSOR_NETWORK
    BITTENSOR_NETUID FACILITATOR_URI HTTP_PORT TRUSTED_MINER_ADDRESS TRUSTED_MINER_PORT
    ALLOW_PRIVATE_MINERS CHAIN_SYNC_SECONDS MANIFEST_SYNC_SECONDS
)
# Likewise, and only together: where prompts and answers of synthetic jobs are kept.
readonly buckets=(
    S3_BUCKET_NAME_PROMPTS S3_BUCKET_NAME_ANSWERS AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
)
readonly buckets_options=(AWS_DEFAULT_REGION AWS_ENDPOINT_URL)

usage() {
    cat <<TEXT
usage: install_validator.sh [OPTIONS] SSH_DESTINATION HOTKEY_PATH
       install_validator.sh --uninstall [--purge] SSH_DESTINATION

  SSH_DESTINATION   USER@HOST, a name of your ssh configuration, or ssh://USER@HOST:PORT
  HOTKEY_PATH       e.g. ~/.bittensor/wallets/my-wallet/hotkeys/my-hotkey; never the coldkey

  --dry-run         says what would be done, and changes nothing
  --uninstall       removes the validator; volumes, secrets and hotkey stay
  --purge           with --uninstall: removes these, too

Run it again after a failure, to change something, or to upgrade: it goes on from what is there.
These variables are written into .env on the server if they are set:

$(fold -s -w 92 <<<"${variables[*]}" | sed 's/^/  /')

and, if both buckets are named:

$(fold -s -w 92 <<<"${buckets[*]} ${buckets_options[*]}" | sed 's/^/  /')

SSH_OPTIONS are options for ssh. COMPUTE_HORDE_MIN_DISK_GB (20) is the disk that must be free.
TEXT
}

# Reads docker/install.sh, which lies beside this script or where the script comes from.
load() {
    local here=''
    [ -z "${BASH_SOURCE[0]:-}" ] || here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    if [ -f "$here/docker/install.sh" ]; then
        # shellcheck source=docker/install.sh
        . "$here/docker/install.sh"
    else
        eval "$(curl -fsSL "$source/docker/install.sh")"
    fi
    declare -F server_end >/dev/null || { echo "error: $source/docker/install.sh could not be read" >&2 && exit 1; }
}

# SSH_DESTINATION HOTKEY_PATH
parse() {
    set_destination "${1:-}"
    [ -z "$uninstalling" ] || return 0
    [ $# = 2 ] || { fault "there are $# arguments after the options, not 2; see --help" && return; }
    read_hotkey "$2"
    [ -z "${HTTP_PORT:-}" ] || is_port "$HTTP_PORT" || fault "HTTP_PORT $HTTP_PORT is no port: give a number from 1 to 65535"
    parse_trusted_miner
    parse_buckets
    carry "${variables[@]}"
}

parse_trusted_miner() {
    case "${TRUSTED_MINER_ADDRESS:+address}${TRUSTED_MINER_PORT:+port}" in
    addressport) is_port "$TRUSTED_MINER_PORT" || fault "TRUSTED_MINER_PORT $TRUSTED_MINER_PORT is no port: give a number from 1 to 65535" ;;
    address) fault "TRUSTED_MINER_ADDRESS is set, TRUSTED_MINER_PORT is not: the port that install_miner.sh local was given" ;;
    port) fault "TRUSTED_MINER_PORT is set, TRUSTED_MINER_ADDRESS is not: the host of the trusted miner" ;;
    *) warn "no TRUSTED_MINER_ADDRESS and TRUSTED_MINER_PORT: jobs that ask for the trusted miner will fail" ;;
    esac
}

# Credentials alone may be meant for something else, and stay here.
parse_buckets() {
    local name missing=''
    if [ -z "${S3_BUCKET_NAME_PROMPTS:-}${S3_BUCKET_NAME_ANSWERS:-}" ]; then
        warn "no S3_BUCKET_NAME_PROMPTS and S3_BUCKET_NAME_ANSWERS: synthetic jobs with prompts cannot be made"
        return
    fi
    for name in "${buckets[@]}"; do
        [ -n "${!name:-}" ] || missing="$missing $name"
    done
    [ -z "$missing" ] || fault "of what the S3 buckets need, these are not set:$missing"
    carry "${buckets[@]}" "${buckets_options[@]}"
}

main() {
    case " $* " in *' --help '* | *' -h '* | '  ') usage && exit ;; esac
    load
    parse_options "$@"
    parse ${arguments[@]+"${arguments[@]}"}
    if [ -n "$uninstalling" ]; then run_removal; else run_installation; fi
    exit
}

main "$@"

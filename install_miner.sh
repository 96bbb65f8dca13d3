#!/usr/bin/env bash
# Installs a miner on a server. Run it on your own machine, where your wallet is.
set -euo pipefail

readonly service=miner
readonly source=${COMPUTE_HORDE_SOURCE:-https://github.com/backend-developers-ltd/ComputeHorde/raw/master}
readonly classes=(
    spin_up-4min.gpu-24gb always_on.gpu-24gb always_on.llm.a6000 always_on.test
    always_on.cpu.8c.16gb
)
# Variables that are written into .env on the server if they are set here.
readonly variables=(
    COMPUTE_HORDE_IMAGES COMPUTE_HORDE_VERSION AUTOMATIC_UPDATES DRAIN_SECONDS MIGRATING
    BITTENSOR_NETWORK BITTENSOR_NETUID BITTENSOR_MINER_ADDRESS CHAIN_SYNC_SECONDS EXECUTOR_SLOTS
    EXECUTOR_MANAGER EXECUTOR_GPUS EXECUTOR_ENVIRONMENT EXECUTOR_WORK_DIRECTORY STREAMING_ADDRESS
    ALLOW_PRIVATE_ADDRESSES
)

usage() {
    cat <<TEXT
usage: install_miner.sh [OPTIONS] [production] SSH_DESTINATION HOTKEY_PATH [PORT [CLASS]]
       install_miner.sh [OPTIONS] local SSH_DESTINATION VALIDATOR_KEY [PORT [CLASS]]
       install_miner.sh --uninstall [--purge] SSH_DESTINATION

  production        a miner of the subnet
  local             a trusted miner, of one validator alone and not on the chain
  SSH_DESTINATION   USER@HOST, a name of your ssh configuration, or ssh://USER@HOST:PORT
  HOTKEY_PATH       e.g. ~/.bittensor/wallets/my-wallet/hotkeys/my-hotkey; never the coldkey
  VALIDATOR_KEY     the SS58 address of the validator's hotkey
  PORT              where the miner is reached            (8000)
  CLASS             what its executor promises            (${classes[0]})
                    ${classes[*]:1:3}
                    ${classes[*]:4}

  --dry-run         says what would be done, and changes nothing
  --uninstall       removes the miner; volumes, secrets and hotkey stay
  --purge           with --uninstall: removes these, too

Run it again after a failure, to change something, or to upgrade: it goes on from what is there.
These variables are written into .env on the server if they are set:

$(fold -s -w 92 <<<"${variables[*]}" | sed 's/^/  /')

SSH_OPTIONS are options for ssh. COMPUTE_HORDE_MIN_DISK_GB (20) is the disk that must be free.
COMPUTE_HORDE_ALLOW_NO_GPU=1 allows GPU classes on a server without GPU, for development.
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

# [production | local] SSH_DESTINATION KEY [PORT [CLASS]]
parse() {
    local mode=production
    case "${1:-}" in production | local) mode=$1 && shift ;; esac
    set_destination "${1:-}"
    [ -z "$uninstalling" ] || return 0
    [ $# -ge 2 ] && [ $# -le 4 ] || { fault "there are $# arguments after the options; see --help" && return; }
    if [ "$mode" = local ]; then
        [[ "$2" =~ ^5[1-9A-HJ-NP-Za-km-z]{47}$ ]] ||
            fault "VALIDATOR_KEY $2 is not an SS58 address: it starts with 5 and has 48 letters and digits"
        hand_over_configuration IS_LOCAL_MINER true
        hand_over_configuration LOCAL_MINER_VALIDATOR_PUBLIC_KEY "$2"
    else
        read_hotkey "$2"
        hand_over_configuration IS_LOCAL_MINER false
    fi
    parse_port_and_class "${@:3}"
    carry "${variables[@]}"
}

# [PORT [CLASS]]
parse_port_and_class() {
    if [ -n "${1:-}" ]; then
        is_port "$1" || fault "PORT $1 is no port: give a number from 1 to 65535"
        hand_over_configuration BITTENSOR_MINER_PORT "$1"
    fi
    if [ -n "${2:-}" ]; then
        [[ " ${classes[*]} " = *" $2 "* || "${EXTRA_EXECUTOR_CLASSES:-}" = *"\"$2\""* ]] ||
            fault "CLASS $2 is unknown; there are ${classes[*]}"
        [ -z "${EXECUTOR_SLOTS:-}" ] || fault "CLASS $2 and EXECUTOR_SLOTS say the same thing: give one of them"
        hand_over_configuration EXECUTOR_SLOTS "$2=1"
    fi
    hand_over DEFAULT_CLASS "${classes[0]}"
    hand_over ALLOW_NO_GPU "${COMPUTE_HORDE_ALLOW_NO_GPU:-}"
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

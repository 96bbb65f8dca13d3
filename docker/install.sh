# shellcheck shell=bash
# What install_validator.sh and install_miner.sh share. They run on the operator's machine, with any
# bash from 3.2. Functions named server_… are sent to the server, with the settings that they need,
# through ssh's standard input: no secret is on a command line or in a temporary file.

# shellcheck disable=SC2154 # the scripts say which service
faults=
settings='HOTKEY='"''"'
'
step=0

# Says that something is wrong; `stop_on_faults` says all of it at once.
fault() {
    faults="$faults
  - $*"
}

fail() {
    echo "error: $*" >&2
    exit 1
}

warn() {
    echo "warning: $*" >&2
}

stop_on_faults() {
    [ -z "$faults" ] || fail "nothing was done:$faults"
}

# Hands a value to the functions on the server.
hand_over() {
    settings="$settings$1=$(printf %q "$2")
"
}

# Hands over variables that `configure` on the server writes into .env.
hand_over_configuration() {
    hand_over "$1" "$2"
    settings="${settings}export $1
"
}

# Hands over those of the named variables that are set here.
carry() {
    local name
    for name in "$@"; do
        [ -n "${!name+set}" ] || continue
        case "${!name}" in
        *$'\n'*) fault "$name has a line break; put it into $service.env on the server instead" ;;
        esac
        hand_over_configuration "$name" "${!name}"
    done
}

is_port() {
    [[ "$1" =~ ^[1-9][0-9]{0,4}$ ]] && [ "$1" -le 65535 ]
}

# The address in a key file; nothing if it is none.
ss58_in() {
    [ -f "$1" ] && LC_ALL=C sed -n 's/.*"ss58Address"[[:space:]]*:[[:space:]]*"\([1-9A-HJ-NP-Za-km-z]*\)".*/\1/p' "$1" | head -n 1
}

# A name that needs no quoting anywhere.
plain_name() {
    LC_ALL=C tr -c 'A-Za-z0-9._\n-' _ <<<"$1" | sed 's/^[.-]/_/'
}

# Looks whether a file is an open hotkey, and takes names from its path: WALLET/hotkeys/HOTKEY.
read_hotkey() {
    local file=$1 folder wallet cold
    # A path in quotes keeps its ~.
    # shellcheck disable=SC2088 # it is to be expanded here
    case "$file" in '~/'*) file=$HOME/${file#??} ;; esac
    [ -f "$file" ] || { fault "there is no hotkey file $file" && return; }
    folder=$(cd "$(dirname "$file")" && pwd)
    wallet=$folder
    [ "$(basename "$folder")" != hotkeys ] || wallet=$(dirname "$folder")
    cold=$wallet/coldkeypub.txt
    case "$(basename "$file")" in
    coldkey) fault "$file is a coldkey. It never leaves this machine; name a file in $wallet/hotkeys" && return ;;
    coldkeypub.txt | *pub.txt) fault "$file is only the public half of a key; name a file in $wallet/hotkeys" && return ;;
    esac
    if ! LC_ALL=C grep -aqE '"(secretSeed|privateKey|secretPhrase)"' "$file" || [ -z "$(ss58_in "$file")" ]; then
        fault "$file is not an open hotkey: it is encrypted, or no key file. Services need an open one: btcli wallet new-hotkey --no-use-password"
        return
    fi
    [ "$(ss58_in "$file")" != "$(ss58_in "$cold")" ] ||
        { fault "$file holds the coldkey of $cold. It never leaves this machine; name a file in $wallet/hotkeys" && return; }
    hand_over HOTKEY "$(cat "$file")"
    hand_over COLDKEYPUB "$([ ! -f "$cold" ] || cat "$cold")"
    hand_over_configuration BITTENSOR_WALLET_NAME "$(plain_name "$(basename "$wallet")")"
    hand_over_configuration BITTENSOR_WALLET_HOTKEY_NAME "$(plain_name "$(basename "$file")")"
}

# Takes the options out of the arguments, wherever they stand; the others become `arguments`.
parse_options() {
    dry_run='' purge='' uninstalling='' arguments=()
    while [ $# -gt 0 ]; do
        case "$1" in
        --dry-run) dry_run=1 ;;
        --uninstall) uninstalling=1 ;;
        --purge) purge=1 ;;
        -*) fault "there is no option $1; see --help" ;;
        *) arguments+=("$1") ;;
        esac
        shift
    done
    [ -z "$purge" ] || [ -n "$uninstalling" ] || fault "--purge goes with --uninstall alone"
}

# What ssh is to connect to.
set_destination() {
    destination=${1:-}
    [[ "$destination" =~ ^[^[:space:]-][^[:space:]]*$ ]] ||
        fault "SSH_DESTINATION is missing or wrong (\"$destination\"): give USER@HOST, or see --help"
    hand_over SSH_DESTINATION "$destination"
    hand_over MIN_DISK_GB "${COMPUTE_HORDE_MIN_DISK_GB:-20}"
    [[ "${COMPUTE_HORDE_MIN_DISK_GB:-20}" =~ ^[0-9]+$ ]] || fault "COMPUTE_HORDE_MIN_DISK_GB is no number"
}

next_step() {
    step=$((step + 1))
    echo "[$step/6] $*"
}

# Opens the connection that all steps share. Its folder is removed at the end, however it comes.
connect() {
    private=$(mktemp -d "${TMPDIR:-/tmp}/horde.XXXXXX")
    trap disconnect EXIT
    trap 'exit 130' HUP INT TERM
    # shellcheck disable=SC2206 # options are words
    ssh=(ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20 -o ServerAliveInterval=15
        -o ServerAliveCountMax=20 -o "ControlPath=\"$private/s\"" ${SSH_OPTIONS:-})
    "${ssh[@]}" -M -N -f "$destination" </dev/null >/dev/null 2>"$private/error" ||
        explain_ssh "$(cat "$private/error")"
    hand_over SERVER_NAME "$(ssh_setting hostname)"
}

disconnect() {
    trap - EXIT
    [ ! -S "$private/s" ] || "${ssh[@]}" -O exit "$destination" 2>/dev/null || true
    rm -rf "$private"
}

# What ssh makes of the destination.
ssh_setting() {
    "${ssh[@]}" -G "$destination" | sed -n "s/^$1 //p" | head -n 1
}

# Why there is no connection, and what to do.
explain_ssh() {
    local host port
    host=$(ssh_setting hostname) port=$(ssh_setting port)
    case "$1" in
    *'IDENTIFICATION HAS CHANGED'*)
        fail "the host key of $destination has changed: it is another server, or somebody is in between. If the server was installed anew: ssh-keygen -R $(known_name "$host" "$port"), then connect once by hand"
        ;;
    *'host key is known'* | *'Host key verification failed'*)
        fail "the host key of $destination is not known here. It says that it is
$(ssh-keyscan -T 10 -p "$port" "$host" 2>/dev/null | ssh-keygen -lf - 2>/dev/null | sed 's/^/    /')
  Compare that with the server's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub). If it is the same, connect once by hand, answer yes, and run this again"
        ;;
    *'Could not resolve'*) fail "there is no server $host: its name cannot be resolved. Check SSH_DESTINATION ($destination)" ;;
    *'Connection refused'*) fail "$host refuses connections at port $port: no ssh server runs there. Another port is given as ssh://USER@HOST:PORT" ;;
    *'timed out'* | *'No route'* | *unreachable*) fail "$host does not answer at port $port. Check the address, and the firewalls between" ;;
    *'Permission denied'*) fail "$destination lets you in with none of your keys: ssh-copy-id $destination, or ssh-add if your key has a passphrase" ;;
    *) fail "ssh cannot connect to $destination: $1" ;;
    esac
}

known_name() {
    if [ "$2" = 22 ]; then echo "$1"; else echo "'[$1]:$2'"; fi
}

# Runs a function on the server. What follows the call there is not read, so it gets nothing to eat.
on_server() {
    {
        # shellcheck disable=SC2016 # it is the server's
        echo 'set -euo pipefail; PATH=$PATH:/usr/sbin:/sbin'
        # shellcheck disable=SC2046 # names of functions
        declare -f $(declare -F | sed -n 's/^declare -f //p' | grep '^server_')
        printf '%s\n' "$settings" "SERVICE=$service DRY_RUN=$dry_run NOW=$(date +%s)" "$1 </dev/null"
    } | "${ssh[@]}" "$destination" 'exec bash -s' 2>&1
}

# The same, and what to do if it fails.
do_on_server() {
    on_server "$1" || fail "step $step did not work, the lines above say why. Mend it and run the same command again: what is done stays done"
}

run_installation() {
    stop_on_faults
    next_step "Checking $destination"
    connect
    on_server server_check || fail "nothing was done on $destination: mend what the lines above say, and run the same command again"
    next_step "Docker"
    do_on_server server_docker
    next_step "GPU"
    do_on_server server_gpu
    next_step "Hotkey, image and configuration"
    do_on_server server_files
    next_step "Starting the $service"
    do_on_server server_start
    next_step "Automatic updates, self-diagnosis"
    on_server server_diagnose || fail "the $service is installed and runs, but has the faults that the lines above name. Mend them and run the same command again"
}

run_removal() {
    stop_on_faults
    hand_over PURGE "$purge"
    connect
    on_server server_uninstall || fail "not everything was removed, the lines above say why. Run the same command again"
}

# ---- On the server ----------------------------------------------------------------------------

server_say() {
    echo "      $*"
}

# Whether nothing is to be changed; if so, says what would be.
server_dry() {
    [ -n "$DRY_RUN" ] && server_say "would $*"
}

server_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

server_directory() {
    echo "$HOME/compute_horde_$SERVICE"
}

# A variable: what the operator gave, else what .env has, else a default.
server_value() {
    if [ -n "${!1+set}" ]; then
        echo "${!1}"
    elif grep -q "^$1=" "$(server_directory)/.env" 2>/dev/null; then
        sed -n "s/^$1=//p" "$(server_directory)/.env" | tail -n 1
    else
        echo "${2:-}"
    fi
}

# What this distribution says of itself.
server_os() {
    sed -n "s/^$1=//p" /etc/os-release | tr -d '"'
}

server_at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# Looks at everything that could stop the installation, and says all of it at once.
server_check() {
    local faults
    faults=$(
        server_check_system
        server_check_room
        server_check_place
        [ "$SERVICE" != miner ] || server_check_gpu
    )
    if [ -n "$faults" ]; then
        printf '  - %s\n' "${faults//$'\n'/$'\n'  - }"
        return 1
    fi
    server_say "$(server_os PRETTY_NAME), $(uname -m), as $(id -un)"
}

server_check_system() {
    local ahead=$(($(date +%s) - NOW))
    case "$(server_os ID)" in
    debian) server_at_least "$(server_os VERSION_ID)" 12 ;;
    ubuntu) server_at_least "$(server_os VERSION_ID)" 22.04 ;;
    *) false ;;
    esac || echo "this is $(server_os PRETTY_NAME): use a server with Debian 12, Ubuntu 22.04 or later"
    case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *) echo "$(uname -m) is not supported: use an x86_64 or aarch64 server" ;;
    esac
    server_root true 2>/dev/null ||
        echo "$(id -un) needs sudo without a password: echo '$(id -un) ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/$(id -un), or install as root"
    [ "${ahead#-}" -le 5 ] ||
        echo "this clock is ${ahead#-} s $([ "$ahead" -gt 0 ] && echo ahead of || echo behind) your machine's. Set both by NTP: sudo apt-get install -y systemd-timesyncd && sudo timedatectl set-ntp true"
}

server_check_room() {
    local place=/var/lib/docker free
    # What is installed has its images already.
    [ ! -e "$(server_directory)/upgrade" ] || return 0
    [ -d "$place" ] || place=/
    free=$(($(df -Pk "$place" | awk 'NR == 2 { print $4 }') / 1024 / 1024))
    [ "$free" -ge "$MIN_DISK_GB" ] ||
        echo "$place has $free GB free of the $MIN_DISK_GB GB that are needed: make room (docker system prune), or set COMPUTE_HORDE_MIN_DISK_GB"
}

server_check_place() {
    local directory port holder file
    directory=$(server_directory)
    if [ -e "$directory/docker-compose.yml" ] && [ ! -e "$directory/upgrade" ] &&
        ! grep -q '^x-service: &service' "$directory/docker-compose.yml"; then
        echo "$directory belongs to another installation: stop it (docker compose down) and move it away first"
    fi
    port=$(server_port)
    holder=$(server_port_holder "$port")
    [ -z "$holder" ] || echo "port $port is taken by $holder: stop it, or choose another port"
    file=$(server_hotkey_file)
    if [ -n "$HOTKEY" ] && [ -f "$file" ] && [ "$(cat "$file")" != "$HOTKEY" ]; then
        echo "$file there is another key: move it away, or give yours another name"
    fi
}

# The port that the service is reached at.
server_port() {
    if [ "$SERVICE" = miner ]; then server_value BITTENSOR_MINER_PORT 8000; else server_value HTTP_PORT 80; fi
}

# Who listens at a port; nothing if nobody does, or our own container.
server_port_holder() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port=":$(printf %04X "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' ||
        return 0
    [ -z "$(server_root docker ps --quiet --filter "publish=$1" --filter "label=com.docker.compose.project=compute_horde_$SERVICE" 2>/dev/null)" ] || return 0
    server_root ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:((\("[^"]*"\).*/\1/p' | sort -u | grep . || echo "another program"
}

server_hotkey_file() {
    echo "$HOME/.bittensor/wallets/${BITTENSOR_WALLET_NAME:-}/hotkeys/${BITTENSOR_WALLET_HOTKEY_NAME:-}"
}

# Whether an NVIDIA graphics card is there, with or without a driver.
server_has_gpu() {
    local device
    [ ! -d /proc/driver/nvidia/gpus ] || return 0
    for device in /sys/bus/pci/devices/*; do
        [ "$(cat "$device/vendor" 2>/dev/null)" = 0x10de ] || continue
        case "$(cat "$device/class")" in 0x03*) return 0 ;; esac
    done
    return 1
}

# The version of the driver; says why not if there is one that does not work.
server_driver() {
    nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>&1 | head -n 1
}

server_check_gpu() {
    local class driver purge="sudo apt-get purge -y '^nvidia-.*'"
    class=$(server_value EXECUTOR_SLOTS "$DEFAULT_CLASS=1")
    if ! server_has_gpu; then
        class=$(tr , '\n' <<<"$class" | grep -v '^always_on\.\(test\|cpu\.8c\.16gb\)=' | head -n 1) || return 0
        [ -n "$ALLOW_NO_GPU" ] ||
            echo "there is no NVIDIA GPU here, and executors of class ${class%%=*} need one: choose another server, or a class without (always_on.cpu.8c.16gb, always_on.test)"
        return 0
    fi
    command -v nvidia-smi >/dev/null || return 0
    driver=$(server_driver)
    case "$driver" in
    [0-9]*) server_at_least "$driver" 535 || echo "NVIDIA's driver $driver is older than 535: $purge, then run this again, which installs the current one" ;;
    *) echo "NVIDIA's driver does not work ($driver): restart the server; if that does not help, $purge, restart, and run this again" ;;
    esac
}

# Installs packages, waiting for other apt-gets and going on where an earlier one was cut off.
server_apt() {
    local output
    output=$(
        {
            server_root dpkg --configure -a
            # Lists have no lock that apt-get waits for, and a fresh server updates them by itself.
            for _ in {1..60}; do
                server_root apt-get -qq update && break
                sleep 5
            done
            server_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -y \
                -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold --no-install-recommends install "$@"
        } 2>&1
    ) || { tail -n 20 <<<"$output" && return 1; }
}

# Adds a repository of packages: NAME KEY_URL LINE. False if it cannot be reached.
server_repository() {
    local key=/etc/apt/keyrings/$1.asc
    server_root install -d -m 0755 /etc/apt/keyrings
    if ! curl -fsSL --max-time 30 "$2" 2>/dev/null | server_root tee "$key.part" >/dev/null; then
        server_root rm -f "$key.part"
        return 1
    fi
    server_root mv "$key.part" "$key"
    echo "deb [signed-by=$key] $3" | server_root tee "/etc/apt/sources.list.d/$1.list" >/dev/null
}

server_engine_works() {
    server_root docker info >/dev/null 2>&1
}

server_compose() {
    if server_root docker compose version >/dev/null 2>&1; then
        server_root docker compose "$@"
    else
        server_root docker-compose "$@"
    fi
}

server_docker() {
    local package
    if ! command -v docker >/dev/null; then
        server_dry "install Docker from download.docker.com, or from the distribution if that is not reached" && return
        server_install_docker
    fi
    server_engine_works || { server_dry "start Docker" && return; } || server_start_docker
    server_at_least "$(server_root docker version --format '{{.Server.Version}}')" 20.10 ||
        { server_say "this Docker is older than 20.10: remove it (sudo apt-get purge docker.io docker-ce), and run this again" && return 1; }
    if ! server_at_least "$(server_compose version --short 2>/dev/null | tr -d v)" 1.29; then
        server_dry "install Docker Compose" && return
        for package in docker-compose-plugin docker-compose-v2 docker-compose; do
            server_apt "$package" >/dev/null && break
        done
    fi
    server_say "Docker $(server_root docker version --format '{{.Server.Version}}'), Compose $(server_compose version --short)"
    # Troubleshooting by hand is then without sudo.
    [ -n "$DRY_RUN" ] || [ "$(id -u)" = 0 ] || ! getent group docker >/dev/null || server_root usermod -aG docker "$(id -un)"
}

server_install_docker() {
    local url
    url=https://download.docker.com/linux/$(server_os ID)
    server_apt ca-certificates curl
    server_say "installing Docker"
    if server_repository docker "$url/gpg" "$url $(server_os VERSION_CODENAME) stable" &&
        server_apt docker-ce docker-ce-cli containerd.io docker-compose-plugin; then
        return
    fi
    server_say "download.docker.com cannot be used from here; taking the distribution's Docker"
    server_root rm -f /etc/apt/sources.list.d/docker.list
    server_apt docker.io apparmor
}

server_start_docker() {
    local tries
    if [ -d /run/systemd/system ]; then
        server_root systemctl enable --now docker
    else
        server_root service docker start
    fi
    for tries in {1..30}; do
        server_engine_works && return
        sleep 1
    done
    server_say "Docker does not start after $tries s; see: sudo journalctl -u docker"
    return 1
}

server_gpu() {
    if [ "$SERVICE" != miner ] || ! server_has_gpu; then
        server_say "no NVIDIA GPU that a $SERVICE uses: neither driver nor container toolkit is installed"
        return
    fi
    if ! command -v nvidia-smi >/dev/null; then
        server_dry "install NVIDIA's driver (cuda-drivers) from developer.download.nvidia.com" || server_install_driver
    fi
    if ! server_at_least "$(server_toolkit)" 1.17.4 || [[ "$(server_root docker info --format '{{json .Runtimes}}' 2>/dev/null)" != *nvidia* ]]; then
        server_dry "install NVIDIA's container toolkit from nvidia.github.io" || server_install_toolkit
    fi
    [ -n "$DRY_RUN" ] || server_say "NVIDIA driver $(server_driver), container toolkit $(server_toolkit)"
}

server_toolkit() {
    nvidia-ctk --version 2>/dev/null | sed -n 's/.*version \([0-9][0-9.]*\).*/\1/p' | head -n 1
}

server_install_driver() {
    local distribution machine=x86_64 url
    distribution=$(server_os ID)$(server_os VERSION_ID | tr -d .)
    [ "$(uname -m)" = x86_64 ] || machine=sbsa
    url=https://developer.download.nvidia.com/compute/cuda/repos/$distribution/$machine
    server_say "installing NVIDIA's driver; this takes minutes"
    server_apt ca-certificates curl "linux-headers-$(uname -r)"
    if ! server_repository nvidia-cuda "$url/3bf863cc.pub" "$url/ /"; then
        server_say "$url cannot be reached from here: open the way, or install the driver yourself, and run this again"
        return 1
    fi
    [[ "$distribution" != debian* ]] ||
        echo "deb http://deb.debian.org/debian $(server_os VERSION_CODENAME) contrib" |
        server_root tee /etc/apt/sources.list.d/compute-horde-contrib.list >/dev/null
    if ! server_apt cuda-drivers; then
        server_say "cuda-drivers could not be installed, often because of another driver: sudo apt-get purge -y '^nvidia-.*', and run this again"
        return 1
    fi
    server_root modprobe nvidia || true
    [[ "$(server_driver)" =~ ^[0-9] ]] ||
        { server_say "the driver is installed: restart the server (sudo reboot), and run this again to go on" && return 1; }
}

server_install_toolkit() {
    local url=https://nvidia.github.io/libnvidia-container
    server_apt ca-certificates curl
    # shellcheck disable=SC2016 # apt puts the architecture in
    if ! server_repository nvidia-container-toolkit $url/gpgkey "$url/stable/deb/"'$(ARCH) /' || ! server_apt nvidia-container-toolkit; then
        server_say "NVIDIA's container toolkit could not be installed from $url: open the way, or install 1.17.4 or later yourself, and run this again"
        return 1
    fi
    # Adds to what is in /etc/docker/daemon.json.
    server_root nvidia-ctk runtime configure --runtime=docker >/dev/null 2>&1
    if [ -d /run/systemd/system ]; then server_root systemctl restart docker; else server_root service docker restart; fi
    server_start_docker
}

server_files() {
    local directory image output
    directory=$(server_directory)
    image=$(server_value COMPUTE_HORDE_IMAGES computehorde)/$SERVICE:$(server_value COMPUTE_HORDE_VERSION latest)
    [ -z "$HOTKEY" ] || server_dry "write the hotkey to $(server_hotkey_file)" || server_hotkey
    server_dry "pull $image, and write compose file, configuration and secrets to $directory" && return
    mkdir -p "$directory" "$HOME/.bittensor/wallets"
    if ! grep -q "^${SERVICE^^}_IMAGE=.*@" "$directory/.env" 2>/dev/null; then
        server_say "pulling $image"
        output=$(server_root docker pull "$image" 2>&1) || { server_say "$output" && return 1; }
        server_root docker run --rm --network none --entrypoint tar "$image" -C /opt/compute-horde/deploy -c . |
            tar -x -C "$directory" --no-same-owner
    fi
    export COMPOSE_PROJECT_NAME=compute_horde_$SERVICE
    if [ "$SERVICE" = miner ]; then
        EXECUTOR_SLOTS=$(server_value EXECUTOR_SLOTS "$DEFAULT_CLASS=1")
        export EXECUTOR_SLOTS
        [ -z "$ALLOW_NO_GPU" ] || server_has_gpu || export DEBUG_NO_GPU_MODE=true
    fi
    "$directory/configure" "$SERVICE"
    if [ -n "$HOTKEY" ] && [ "$(id -u)" = 0 ]; then
        # Root's services run as another user, who may read this key and nothing else of root's.
        chmod o+x "$HOME/.bittensor/wallets" "$(dirname "$(dirname "$(server_hotkey_file)")")" "$(dirname "$(server_hotkey_file)")"
        chown "$(server_value SERVICE_UID)" "$(server_hotkey_file)"
    fi
    server_say "configuration: $directory/.env"
}

server_hotkey() {
    local file
    file=$(server_hotkey_file)
    (
        umask 077
        mkdir -p "$(dirname "$file")"
        echo "$HOTKEY" >"$file.part"
        mv "$file.part" "$file"
        [ -z "$COLDKEYPUB" ] || echo "$COLDKEYPUB" >"$(dirname "$(dirname "$file")")/coldkeypub.txt"
    )
    server_say "hotkey: $file"
}

server_start() {
    server_dry "pull and start all containers, and wait until they are healthy" && return
    "$(server_directory)/upgrade" --start
}

server_diagnose() {
    local place=validator-link sick=0
    server_dry "let cron upgrade the $SERVICE each day, and run its doctor" && return
    server_cron
    [ "$SERVICE" != miner ] || place=miner-fleet
    place=$(server_root docker ps --quiet --filter "label=com.docker.compose.project=compute_horde_$SERVICE" --filter "label=com.docker.compose.service=$place")
    server_root docker exec "$place" manage doctor || sick=1
    if [ "$SERVICE" = miner ] && [ "$(server_value MIGRATING 0)" = 0 ]; then
        server_root docker exec "$place" manage self_test || sick=1
    fi
    server_tell
    return $sick
}

server_cron() {
    local file=/etc/cron.d/compute-horde-$SERVICE upgrade daily
    upgrade=$(server_directory)/upgrade
    daily=$(grep -F "* * * $(id -un) $upgrade " "$file" 2>/dev/null || true)
    if [ "$(server_value AUTOMATIC_UPDATES true)" = false ]; then
        daily=''
        server_say "automatic updates are off; by hand: $upgrade"
    else
        daily=${daily:-"$((RANDOM % 60)) $((RANDOM % 24)) * * * $(id -un) $upgrade --auto >>$upgrade.log 2>&1"}
        server_say "automatic updates: $file; AUTOMATIC_UPDATES=false in .env stops them"
    fi
    command -v cron crond >/dev/null || server_apt cron
    # An upgrade that a reboot cut off is undone, whether updates are automatic or not.
    printf '%s\n' "PATH=$PATH" "@reboot $(id -un) sleep 60; $upgrade --auto >>$upgrade.log 2>&1" "$daily" |
        server_root tee "$file" >/dev/null
}

# What the operator needs to know.
server_tell() {
    local port address
    port=$(server_port)
    address=http://$SERVER_NAME:$port/admin/
    [ "$SERVICE" = miner ] || address="http://127.0.0.1:8080/admin/ after: ssh -L 8080:127.0.0.1:$port $SSH_DESTINATION"
    server_say ''
    server_say "The $SERVICE runs on $SERVER_NAME."
    [ "$SERVICE" != miner ] || server_say "reachable  $SERVER_NAME:$port"
    server_say "admin      $address"
    server_say "user       $(server_value ADMIN_USERNAME admin)"
    server_say "password   $(cat "$(server_directory)/secrets/${SERVICE}_admin_password")"
}

# Runs a command, whose words matter only if it fails.
server_quietly() {
    local output
    output=$("$@" 2>&1) || { server_say "$output" && return 1; }
}

server_uninstall() {
    local directory images
    directory=$(server_directory)
    server_dry "remove the $SERVICE: containers, networks, images, cron entry, $directory${PURGE:+, volumes, secrets and hotkey}" && return
    server_root rm -f "/etc/cron.d/compute-horde-$SERVICE"
    if [ -f "$directory/docker-compose.yml" ] && [ -f "$directory/.env" ]; then
        cd "$directory" || return
        images=$({ cat .env .previous/pins .before/pins 2>/dev/null || true; } | sed -n 's/^[A-Z]*_IMAGE=//p' | sort -u)
        server_quietly server_compose stop
        server_remove_executors
        server_quietly server_compose down --remove-orphans
        server_remove_volumes
        server_remove_images "$images"
        cd "$HOME" || return
    fi
    [ "$SERVICE" != miner ] || [ "$(server_value EXECUTOR_WORK_DIRECTORY)" != /var/lib/compute-horde ] || server_root rm -rf /var/lib/compute-horde
    if [ -n "$PURGE" ]; then
        server_purge
        server_say "removed, with volumes, secrets and hotkey. Docker stays"
    elif [ -d "$directory" ]; then
        find "$directory" -mindepth 1 -maxdepth 1 ! -name '*.env' ! -name secrets -exec rm -rf {} +
        [ ! -f "$directory/.env" ] || sed -i '/_IMAGE=/d' "$directory/.env"
        server_say "removed. The volumes stay, and what they need in $directory; the hotkey stays; Docker stays. --purge removes all but Docker"
    else
        server_say "nothing was installed in $directory"
    fi
}

# Removes the executors, and their jobs; their network cannot go before.
server_remove_executors() {
    local id token
    for id in $(server_root docker ps --all --quiet --filter "network=compute_horde_${SERVICE}_executors" --filter label=compute-horde.token); do
        token=$(server_root docker inspect --format '{{index .Config.Labels "compute-horde.token"}}' "$id")
        # shellcheck disable=SC2046 # ids are words
        server_root docker rm --force --volumes $(server_root docker ps --all --quiet --filter "label=compute-horde.token=$token") >/dev/null
        # shellcheck disable=SC2046 # likewise
        server_root docker network rm $(server_root docker network ls --quiet --filter "label=compute-horde.token=$token") >/dev/null 2>&1 || true
    done
}

# Removes the volumes if they are to go, and those of other services: Compose 1.29 makes them, too.
server_remove_volumes() {
    local volume
    for volume in $({
        server_root docker volume ls --quiet --filter "label=com.docker.compose.project=compute_horde_$SERVICE"
        server_root docker volume ls --quiet --filter "name=^${SERVICE}_"
    } | sort -u); do
        case "$volume" in
        "$SERVICE"_*) [ -n "$PURGE" ] || continue ;;
        *) [ ! -d "$HOME/compute_horde_${volume%%_*}" ] || continue ;;
        esac
        server_root docker volume rm "$volume" >/dev/null
    done
}

# Removes all versions of these images, but for those that containers of others use.
server_remove_images() {
    local image id
    for image in $1; do
        for id in $(server_root docker images --quiet --filter "reference=${image%@*}" | sort -u); do
            [ -n "$(server_root docker ps --all --quiet --filter "ancestor=$id")" ] ||
                server_root docker image rm --force "$id" >/dev/null
        done
    done
}

server_purge() {
    local file
    BITTENSOR_WALLET_NAME=$(server_value BITTENSOR_WALLET_NAME)
    BITTENSOR_WALLET_HOTKEY_NAME=$(server_value BITTENSOR_WALLET_HOTKEY_NAME)
    file=$(server_hotkey_file)
    if [ -n "$BITTENSOR_WALLET_HOTKEY_NAME" ]; then
        rm -f "$file"
        rmdir "$(dirname "$file")" 2>/dev/null && rm -f "$(dirname "$(dirname "$file")")/coldkeypub.txt" &&
            rmdir "$(dirname "$(dirname "$file")")" || true
    fi
    server_root rm -rf "$(server_directory)"
}

# The last function: where it is known, all are.
server_end() { :; }

#!/bin/sh
# What every container of hpo begins with: a role of a cluster, or any command with its secrets read from their files.
#
#   ray-head [OPTIONS]     the first machine of a Ray; OPTIONS are those of `ray start`
#   ray-worker [OPTIONS]   one more, which joins the head at RAY_ADDRESS
#   web [OPTIONS]          the pages; OPTIONS are those of `hpo serve`
#   COMMAND [ARGUMENTS]    e.g. hpo run --study digits --promote --ray-address auto
#
# HPO_STORAGE, HPO_FROM, HPO_TOKEN and PGPASSWORD may each be given as the path of a file, in HPO_STORAGE_FILE and so on.
# HPO_BIND is the address to listen at (127.0.0.1 for this machine alone), HPO_RAY_PORT and HPO_PORT are the ports.
set -eu

SECRETS="HPO_STORAGE HPO_FROM HPO_TOKEN PGPASSWORD"

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

# Sets the variable $1 to what stands in the file that $1_FILE names. Only names of SECRETS come here: eval is safe.
read_secret() {
    eval "given=\${$1-} file=\${$1_FILE-}"
    [ -n "$file" ] || return 0
    [ -z "$given" ] || fail "$1 and $1_FILE are both set; one of them is wanted"
    [ -r "$file" ] || fail "$1_FILE names $file, which user $(id -u) cannot read; is the secret mounted, and for everybody to read?"
    content=$(cat "$file")
    [ -n "$content" ] || fail "$1_FILE names $file, which is empty"
    export "$1=$content"
    unset "$1_FILE"
}

read_secrets() {
    for name in $SECRETS; do
        read_secret "$name"
    done
}

role=${1-}
case $role in
ray-head | ray-worker)
    shift
    address=${RAY_ADDRESS-}
    # Whatever Ray starts inherits its environment, trainings too. A driver on the head reads the files for itself.
    for name in $SECRETS; do
        unset "$name"
        [ "$role" = ray-head ] || unset "${name}_FILE"
    done
    unset RAY_ADDRESS
    [ -z "${HPO_BIND-}" ] || set -- --node-ip-address="$HPO_BIND" "$@"
    if [ "$role" = ray-head ]; then
        exec ray start --head --block --disable-usage-stats --port="${HPO_RAY_PORT:-6379}" \
            --dashboard-host="${HPO_BIND:-0.0.0.0}" "$@"
    fi
    [ -n "$address" ] || fail "ray-worker wants the address of the head in RAY_ADDRESS, e.g. ray-head:6379"
    exec ray start --block --disable-usage-stats --address="$address" "$@"
    ;;
web)
    shift
    read_secrets
    exec hpo serve --host "${HPO_BIND:-0.0.0.0}" --port "${HPO_PORT:-8080}" "$@"
    ;;
"")
    fail "expected a role (ray-head, ray-worker, web) or a command, e.g. hpo studies"
    ;;
*)
    read_secrets
    exec "$@"
    ;;
esac

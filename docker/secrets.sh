#!/bin/sh
# Makes the secrets that compose.yaml mounts, once: sh docker/secrets.sh [FOLDER]
set -eu

folder=${1:-$(dirname "$0")/secrets}
if [ -e "$folder" ]; then
    printf 'error: %s exists already; a database keeps the password that it was made with. Remove both to begin anew.\n' "$folder" >&2
    exit 2
fi

random() {
    od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n'
}

# The folder is for its owner alone, the files for everybody: they are mounted with the mode that they have, and the
# containers' user is another than the host's.
umask 077
new=$(mktemp -d "$folder.XXXXXX")
password=$(random)
printf '%s' "$password" > "$new/db_password"
printf 'postgresql://hpo:%s@db:5432/hpo' "$password" > "$new/storage"
printf '%s' "$(random)" > "$new/ray_token"
printf '%s' "$(random)" > "$new/token"
chmod 0444 "$new"/*
mv "$new" "$folder"
printf 'Written: %s\n' "$folder" >&2

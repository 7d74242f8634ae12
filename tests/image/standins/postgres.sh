#!/usr/bin/env bash
# what postgres:15's own does, in its order: directories, init, scripts with the socket alone, the server
set -Eeo pipefail
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"; chmod 700 "$PGDATA"; find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
  chmod 3775 /var/run/postgresql; exec gosu postgres "$0" "$@"
fi
export POSTGRES_USER=${POSTGRES_USER:-postgres} POSTGRES_DB=${POSTGRES_DB:-postgres}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:?}")
  printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  export PGPASSWORD=$POSTGRES_PASSWORD
  pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}") -c listen_addresses='' -p 5432" -w start
  for f in /docker-entrypoint-initdb.d/*; do [ -x "$f" ] && "$f" || . "$f"; done
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
fi
exec "$@"

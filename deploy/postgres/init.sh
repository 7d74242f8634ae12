#!/usr/bin/env bash
# One database and one role a service. The image of PostgreSQL runs it once, on an empty volume.
# Passwords: DAOHU_<SERVICE>_DB_PASSWORD. A role owns its own database and may not connect to another's.
set -euo pipefail

for service in registry funds assessment notify; do
    password="DAOHU_${service^^}_DB_PASSWORD"
    psql -v ON_ERROR_STOP=1 -v role="daohu_$service" -v password="${!password:?}" \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --no-psqlrc --quiet <<'SQL'
create role :"role" login password :'password';
create database :"role" owner :"role" encoding 'UTF8' template template0 locale 'C.UTF-8';
revoke all on database :"role" from public;
SQL
done

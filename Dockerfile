# One image for every process of Daohu; the command says which (docker-compose.yml).
# with its digest at a county: docs/supply-chain.md. Debian bookworm, whose PostgreSQL client is of the server's version: 15
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON} AS packages
RUN python -m venv /opt/daohu
COPY deploy/requirements.lock /tmp/
RUN /opt/daohu/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        -r /tmp/requirements.lock \
    && /opt/daohu/bin/pip uninstall --yes --quiet pip setuptools
COPY pyproject.toml /tmp/
# the release's number, which backups and traces bear; the code itself is not installed
RUN python -c 'import pathlib, tomllib; \
number = tomllib.loads(pathlib.Path("/tmp/pyproject.toml").read_text())["project"]["version"]; \
[packages] = pathlib.Path("/opt/daohu/lib").glob("python3.*/site-packages"); \
said = packages / f"daohu-{number}.dist-info"; said.mkdir(); \
(said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: daohu\nVersion: {number}\n")'

# for `daohu backup` and `restore`: two programs of the client; its package would bring Perl for wrappers nobody needs here
FROM ${PYTHON} AS postgres
WORKDIR /client
RUN apt-get update && apt-get download postgresql-client-15 && dpkg -x postgresql-client-15_*.deb .

FROM ${PYTHON}
# the number, not the name: volumes and orchestrators compare numbers
RUN groupadd --gid 10001 daohu && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent daohu \
    && install -d -o daohu -g daohu -m 0750 /var/lib/daohu
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY --from=postgres /client/usr/lib/postgresql/15/bin/pg_dump /client/usr/lib/postgresql/15/bin/pg_restore /usr/local/bin/
COPY --from=packages /opt/daohu /opt/daohu
COPY services /app/services
COPY shared /app/shared
COPY demo /app/demo
COPY policies /app/policies
COPY data /app/data
COPY --chmod=755 deploy/daohu /usr/local/bin/daohu
ENV PATH=/opt/daohu/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 DAOHU_HOME=/var/lib/daohu
# readable whatever the checkout's umask was; compiled once here: the file system is read-only later, and every process would compile it again
RUN chmod -R a+rX /app && python -m compileall -q -j 0 /app /opt/daohu/lib
WORKDIR /app
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["daohu"]
CMD ["--help"]

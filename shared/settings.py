"""Environment → typed settings. Each service adds its own in services/<name>/settings.py."""

from os import environ
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

POOLS = {"api": (7, 5), "worker": (3, 4), "all": (10, 10)}
"""Connections to PostgreSQL by role, to read with and to write with: two replicas of each of the eight processes, with
look-ups and the ledger's own, take at most 180 of a server's 200 (`max_connections` in docker-compose.yml)."""


class Settings(BaseSettings):
    """What every service needs to know. Variables are `DAOHU_…`; a service's database is `DAOHU_<SERVICE>_DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="DAOHU_", extra="ignore", frozen=True, hide_input_in_errors=True)

    service: ClassVar[str]

    home: Path = Field(default=Path(".daohu"), description="data of the embedded mode: databases, bus, keys, clock")
    role: Literal["api", "worker", "all"] = "all"
    clock: Literal["system", "movable"] = "system"
    policies: Path = Path(__file__).parent.parent / "policies"
    database_url: str = Field(
        default="", repr=False, description="with its password; empty: an SQLite file of the service under `home`"
    )

    oidc_issuers: Annotated[Path | None, BeforeValidator(lambda given: given or None)] = Field(
        default=None, description="YAML list of the OpenID providers whose tokens count (docs/sign-in.md); empty: none"
    )
    local_issuer: bool = Field(default=True, description="whether tokens of the deployment's own key count")

    kafka_bootstrap_servers: str = Field(
        default="", description="host:port[,…] of Apache Kafka; empty: a local bus in a file under `home`"
    )
    topic_partitions: int = Field(default=6, ge=1, description="of each topic that `daohu migrate` makes")
    topic_replicas: int = Field(default=1, ge=1, description="of each partition; 3 where there are three brokers")

    pool_size: int | None = Field(
        default=None, description="PostgreSQL connections to read with, and as many to write with; else POOLS by role"
    )
    max_body_bytes: int = Field(
        default=1 << 20, ge=1, description="largest request body, in bytes; imports have their own limit"
    )
    max_import_bytes: int = Field(default=20 << 20, ge=1, description="largest file to import, in bytes")
    max_import_rows: int = Field(default=100_000, ge=1, description="rows of a sheet in a file to import")
    max_json_depth: int = Field(default=32, ge=1, description="how deep a JSON body may be nested")
    max_json_items: int = Field(
        default=50_000, ge=1, description="values in a JSON body, those of inner lists included"
    )
    max_target_bytes: int = Field(default=8_192, ge=1, description="longest address of a request, its query included")
    max_headers: int = Field(default=64, ge=1, description="headers of a request")
    max_head_bytes: int = Field(default=32_768, ge=1, description="a request's address and headers together, in bytes")
    max_connections: int = Field(default=2_000, ge=1, description="connections of a process")
    max_address_connections: int = Field(
        default=1_000, ge=1, description="connections from one address; an origin in front counts as one"
    )
    max_requests_at_once: int = Field(default=1_000, ge=1, description="requests in hand of a process; beyond: 503")
    max_imports_at_once: int = Field(default=8, ge=1, description="imports in hand of a process; beyond: 503")
    imports_read_at_once: int = Field(default=2, ge=1, description="files that are read at the same time; others wait")
    caller_requests_at_once: int = Field(default=200, ge=1, description="requests in hand of one caller; beyond: 429")
    caller_imports_at_once: int = Field(
        default=4, ge=1, description="imports in hand of one caller, so that others find room; beyond: 429"
    )
    caller_requests_per_second: float = Field(
        default=500, gt=0, description="requests of one caller, lasting; an import counts as 20"
    )
    caller_burst: int = Field(default=5_000, ge=20, description="requests of one caller at once after a rest")
    address_requests_per_second: float = Field(
        default=100, gt=0, description="requests without a valid token from one address, lasting"
    )
    address_burst: int = Field(default=2_000, ge=20, description="those at once after a rest")
    trusted_proxies: str = Field(
        default="", description="addresses or networks, with commas, whose X-Forwarded-For is believed; empty: nobody's"
    )
    head_seconds: float = Field(
        default=10, gt=5, description="a connection on which no whole request head came for so long is closed"
    )
    body_stall_seconds: float = Field(
        default=10, gt=0, description="a request whose body does not come on for so long is refused with 408"
    )
    reader_stall_seconds: float = Field(
        default=30, gt=0, description="a connection whose caller does not take the answer for so long is cut"
    )
    request_seconds: float = Field(default=60, description="a request that takes longer is given up with 503")
    stop_seconds: float = Field(default=10, description="a graceful stop gives up after this")
    stuck_seconds: float = Field(default=120, ge=1, description="a loop that stands still so long ends its process")
    log_level: str = "INFO"

    @classmethod
    def of(cls, **given: object) -> "Settings":
        """From the environment; the service's own database variable counts, `given` wins over both."""
        named = environ.get(f"DAOHU_{cls.service.upper()}_DATABASE_URL")
        return cls(**{**({"database_url": named} if named else {}), **given})  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{(self.home / f'{self.service}.db').absolute()}"

    @property
    def pools(self) -> tuple[int, int]:
        """PostgreSQL connections of this process: to read with, to write with."""
        return (self.pool_size, self.pool_size) if self.pool_size else POOLS[self.role]

    @property
    def key_files(self) -> tuple[str, ...]:
        """What must lie in `<home>/keys` before a process of a cluster may start."""
        return ("issuer.pub",) if environ.get("DAOHU_KEYS") else ("issuer.pub", "vault.json")

"""What every event is: a fact in the past tense, with a version, in a CloudEvents 1.0 envelope (binary mode)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

Division = Annotated[str, Field(pattern=r"^\d{12}$", description="12-digit division code (行政区划代码)")]
Fen = Annotated[int, Field(description="integer fen (分)")]

REGISTRY: dict[str, type["Event"]] = {}
"""Every event by its type name, e.g. registry.household_exited.v1."""


class Event(BaseModel):
    """A fact. Producers forbid extra fields, consumers ignore them.

    `type_name`: <service>.<fact>.v<n>. `topic`: daohu.<service>.<aggregate>. `key_field`: the field that is the Kafka key.
    `consumers`: the services whose HANDLERS hear it; a test holds this to the truth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type_name: ClassVar[str]
    topic: ClassVar[str]
    key_field: ClassVar[str]
    consumers: ClassVar[tuple[str, ...]]

    def __init_subclass__(
        cls,
        *,
        type_name: str = "",
        topic: str = "",
        key_field: str = "",
        consumers: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if type_name:
            assert type_name not in REGISTRY, f"{type_name} is declared twice"
            cls.type_name, cls.topic, cls.key_field, cls.consumers = type_name, topic, key_field, consumers
            REGISTRY[type_name] = cls

    @property
    def key(self) -> str:
        """The aggregate's id: events of one aggregate stay in order."""
        return str(getattr(self, self.key_field))

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Reads what a newer producer may have written: extra fields are ignored, unknown enum values become `unknown`."""
        return cls.model_validate_json(data, extra="ignore", context={"lenient": True})


E = TypeVar("E", bound=Event)


def lenient(kind: type[StrEnum]) -> BeforeValidator:
    """For enum fields: `Annotated[Pathway, lenient(Pathway)]`. A consumer reads an unknown value as `unknown`."""

    known = frozenset(kind)

    def read(value: Any, info: ValidationInfo) -> Any:
        if info.context and info.context.get("lenient") and value not in known:
            return kind("unknown")
        return value

    return BeforeValidator(read)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The CloudEvents attributes of one event. `subject` is the Kafka key; `division` is where it happened (12 digits)."""

    id: UUID
    type: str
    source: str
    subject: str
    time: datetime
    division: str
    actor: str
    aggregate_version: int
    causation_id: str | None = None
    traceparent: str | None = None

    def headers(self) -> dict[str, str]:
        """As Kafka headers: ce_* of CloudEvents binary mode, ours among them."""
        pairs = {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_type": self.type,
            "ce_source": self.source,
            "ce_subject": self.subject,
            "ce_time": self.time.isoformat(),
            "ce_dataschema": f"/schemas/{self.type}.json",
            "content-type": "application/json",
            "ce_aggregateversion": str(self.aggregate_version),
            "ce_division": self.division,
            "ce_actor": self.actor,
            "ce_causationid": self.causation_id,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in pairs.items() if value is not None}

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Envelope":
        """Raises KeyError or ValueError when a required attribute is missing or unreadable."""
        return cls(
            id=UUID(headers["ce_id"]),
            type=headers["ce_type"],
            source=headers["ce_source"],
            subject=headers["ce_subject"],
            time=datetime.fromisoformat(headers["ce_time"]),
            division=headers["ce_division"],
            actor=headers["ce_actor"],
            aggregate_version=int(headers["ce_aggregateversion"]),
            causation_id=headers.get("ce_causationid"),
            traceparent=headers.get("traceparent"),
        )

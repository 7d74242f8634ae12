"""Every topic there is: one a producing aggregate, and for each service that hears of it one of its dead letters."""

from shared.events import contracts
from shared.events.base import REGISTRY

assert contracts.MODULES  # imported so that REGISTRY knows every event


def group_of(service: str) -> str:
    """The consumer group of a service."""
    return f"daohu.{service}"


def dead_letter_topic(topic: str, group: str) -> str:
    """Where a group's dead letters of a topic are published."""
    return f"{topic}.dlq.{group}"


def all_topics() -> list[str]:
    """What `daohu migrate` and the start of the embedded mode create; services create none."""
    topics = {event.topic for event in REGISTRY.values()}
    heard = {(event.topic, service) for event in REGISTRY.values() for service in event.consumers}
    return sorted(topics | {dead_letter_topic(topic, group_of(service)) for topic, service in heard})

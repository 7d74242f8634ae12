"""Topics: each event's own, and one of dead letters for each service that hears of it."""

import importlib

import pytest

from services.catalogue import NAMES
from shared.events.base import REGISTRY
from shared.topics import all_topics, dead_letter_topic


def test_every_event_has_its_topic() -> None:
    assert {event.topic for event in REGISTRY.values()} <= set(all_topics())


@pytest.mark.parametrize("service", ["funds", "assessment", "notify"])
def test_whatever_a_service_hears_of_has_a_topic_for_its_dead_letters(service: str) -> None:
    heard = {handler.event.topic for handler in importlib.import_module(f"services.{service}.consumers").HANDLERS}
    expected = {dead_letter_topic(topic, f"daohu.{service}") for topic in heard}
    assert expected == {topic for topic in all_topics() if topic.endswith(f".dlq.daohu.{service}")}


def test_no_topic_is_named_twice_and_none_is_nobodys() -> None:
    topics = all_topics()
    assert len(topics) == len(set(topics))
    assert {topic.rsplit(".", 1)[1] for topic in topics if ".dlq." in topic} <= set(NAMES)

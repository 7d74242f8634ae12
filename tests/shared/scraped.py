"""What a scraper of /metrics reads."""

from prometheus_client.parser import text_string_to_metric_families

from shared import metrics


def shown(service: str | None = None) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of the labels' names…) → value."""
    families = text_string_to_metric_families(metrics.text(service).decode())
    return {
        (s.name, *(value for _, value in sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples
    }

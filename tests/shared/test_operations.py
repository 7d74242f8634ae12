"""docs/operations.md, the alerts and the metrics the code defines speak of the same things."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from shared import metrics

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))


def names() -> set[str]:
    """Every name the code defines, as Prometheus knows it."""
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in metrics.REGISTRY.collect()
        if family.name.startswith("daohu_")
    }


def test_the_page_explains_every_metric_and_no_other():
    told = set(re.findall(r"^\| `(daohu_\w+)`", PAGE, re.MULTILINE))
    assert told == names()


def test_the_page_names_every_label():
    for family in metrics.REGISTRY._collector_to_names:
        labels = getattr(family, "_labelnames", ())
        if not labels:
            continue
        name = family._name + ("_total" if family._type == "counter" else "")  # type: ignore[attr-defined]
        (row,) = re.findall(rf"^\| `{name}` \|(.*?)\|", PAGE, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == set(labels) - {"service"}, name


def rules() -> list[dict]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_rests_on_metrics_that_exist_and_the_page_says_what_to_do(rule):
    used = set(re.findall(r"\bdaohu_\w+", rule["expr"]))
    known = names() | {f"{name}_{part}" for name in names() for part in ("bucket", "sum", "count")}
    assert used or "up{" in rule["expr"]
    assert used <= known
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert f"### {rule['alert']}\n" in PAGE
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_page_tells_of_no_alert_that_is_not_there():
    told = set(re.findall(r"^### (Daohu\w+)$", PAGE, re.MULTILINE))
    assert told == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("words", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_prometheus_itself_takes_its_configuration_and_the_alerts_fire_when_they_should(words):
    if (promtool := shutil.which("promtool")) is None:
        why = "no promtool on this machine (apt-get install prometheus)"
        (pytest.fail if os.environ.get("DAOHU_REQUIRE_SERVERS") == "1" else pytest.skip)(why)
    run = subprocess.run(
        [promtool, *words], cwd=ROOT / "deploy" / "prometheus", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr

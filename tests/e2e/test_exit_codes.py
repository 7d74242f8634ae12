"""What `daohu …` says and answers when it cannot do what it is asked."""

from pathlib import Path

import pytest

from tests.e2e.conftest import daohu


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("dump",), "cannot be read"),
        (("events", "dlq", "list"), "cannot be read"),
        (("events", "dlq", "retry", "nobody", "1", "--actor", "me"), "No service is called nobody"),
    ],
)
def test_a_home_that_is_none_is_said_in_a_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    run = daohu(*words, "--home", tmp_path / "none")
    assert (run.returncode, "Traceback" in run.stderr) == (1, False)
    assert says in " ".join(run.stderr.split())


def test_a_letter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert daohu("migrate", "--home", tmp_path).returncode == 0
    run = daohu("events", "dlq", "discard", "funds", "1", "--actor", "me", "--reason", "x", "--home", tmp_path)
    assert (run.returncode, "has no dead letter 1" in run.stderr) == (1, True)

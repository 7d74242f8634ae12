"""`daohu demo`: what it refuses before it starts anything, and what it says at the end."""

import io
from pathlib import Path

import typer
from rich.console import Console
from typer.testing import CliRunner

from demo.command import demo
from demo.report import Voice, report

app = typer.Typer()
app.command()(demo)

RESULT = {
    "pathways": {"industry": {"name": "产业扶持", "households": 7, "people": 21, "subs": {"茶饮": [3, 9]}}},
    "divisions": {"towns": 2, "villages": 5},
    "imports": {"files": 3, "rows": 40, "rows_sent_back": 4},
    "cases": {"identification": {"case_no": "A-1"}, "exit": {"case_no": "B-1"}},
    "money": {"project": "试验项目", "households": 3, "paid_fen": 10001, "lost_fen": 0, "refused": [{}, {}]},
    "trail": {"entries": 6},
    "sms": {"due": 10, "sent": 10, "replied": 9, "on_time": 7, "reminded": 3},
    "scores": {"towns": 2, "cadres": 8, "visits": 12},
    "seconds": 1.5,
}


def test_an_unknown_county_is_refused() -> None:
    result = CliRunner().invoke(app, ["--county", "nowhere"])
    assert result.exit_code == 2
    assert "pingli" in result.output


def test_a_home_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(app, ["--home", str(tmp_path)])
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_report_says_what_how_many_how_long_and_where() -> None:
    text = io.StringIO()
    report(Console(file=text, width=200), RESULT, {"bundle": "/somewhere/bundle.zip"})
    said = text.getvalue()
    for part in ("产业扶持", "茶饮 3/9", "100.01", "10 due", "1.5 s", "/somewhere/bundle.zip"):
        assert part in said


def test_a_silent_voice_prints_nothing() -> None:
    text = io.StringIO()
    with Voice(Console(file=text), silent=True) as voice:
        voice.doing("做", "doing")
        voice.say("好", "done")
    assert text.getvalue() == ""

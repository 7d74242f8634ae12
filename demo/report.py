"""What a person sees of the month: what just happened while it runs, and a short report at its end."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.money import yuan


class Voice:
    """Tells the month as it goes. Use it as a context manager; nothing is printed when it is silent."""

    def __init__(self, console: Console, *, silent: bool = False) -> None:
        self._console, self._silent = console, silent
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=silent,
        )
        self._task = self._progress.add_task("…", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, zh: str, en: str) -> None:
        """One line of what happened, in both languages."""
        if not self._silent:
            self._progress.print(f"[green]✓[/green] {zh}  [dim]{en}[/dim]", highlight=False)

    def doing(self, zh: str, en: str) -> None:
        """What is being done now."""
        self._progress.update(self._task, description=f"{zh} [dim]{en}[/dim]")


def report(console: Console, result: dict[str, Any], places: dict[str, str]) -> None:
    """The end of the demo: what happened, how many, how long, where to look."""
    console.print()
    console.print(_pathways(result))
    for zh, en in _lines(result):
        console.print(f"• {zh}", highlight=False)
        console.print(f"  [dim]{en}[/dim]", highlight=False)
    console.print()
    console.print(f"[bold]到哪里看 / Where to look[/bold]（{result['seconds']} s）")
    for what, where in places.items():
        console.print(f"  {what}: {where}", highlight=False, soft_wrap=True)


def _pathways(result: dict[str, Any]) -> Table:
    table = Table("脱贫路径 pathway", "户 households", "人 people", "子类 sub-categories", title="平利县 2016")
    for key, pathway in result["pathways"].items():
        subs = " · ".join(f"{sub} {count[0]}/{count[1]}" for sub, count in pathway.get("subs", {}).items())
        table.add_row(f"{pathway['name']} {key}", f"{pathway['households']:,}", f"{pathway['people']:,}", subs)
    return table


def _lines(result: dict[str, Any]) -> list[tuple[str, str]]:
    divisions, imports, cases = result["divisions"], result["imports"], result["cases"]
    money, trail, sms, scores = result["money"], result["trail"], result["sms"], result["scores"]
    paid = yuan(money["paid_fen"])
    return [
        (
            f"{divisions['towns']} 个镇 {divisions['villages']} 个村，导入 {imports['files']} 个文件 {imports['rows']:,} 行，退回 {imports['rows_sent_back']} 行",
            f"{divisions['towns']} towns, {divisions['villages']} villages; {imports['rows']:,} rows of {imports['files']} files came in, {imports['rows_sent_back']} rows went back",
        ),
        (
            f"识别 {cases['identification']['case_no']}，退出 {cases['exit']['case_no']}，均按程序办结",
            "one household identified, one exited, each by its procedure and different people",
        ),
        (
            f"{money['project']}：{money['households']} 户 {paid} 元，差错 {money['lost_fen']} 分；{len(money['refused'])} 次提前拨付被拒",
            f"{money['households']} households were paid {paid} yuan, {money['lost_fen']} fen lost; {len(money['refused'])} early payments refused",
        ),
        (
            f"资金追溯双向一致，{trail['entries']} 笔账目离线验证通过",
            f"the trail agrees both ways; {trail['entries']} entries proven offline",
        ),
        (
            f"短信应发 {sms['due']}、已发 {sms['sent']}、报告 {sms['replied']}（按时 {sms['on_time']}）、催报 {sms['reminded']}",
            f"SMS: {sms['due']} due, {sms['sent']} sent, {sms['replied']} replied ({sms['on_time']} on time), {sms['reminded']} reminded",
        ),
        (
            f"考核 {scores['towns']} 个镇、{scores['cadres']} 名干部，每一分可追到事件；走访 {scores['visits']:,} 次",
            f"{scores['towns']} towns and {scores['cadres']} cadres were scored, each point explained to its events; {scores['visits']:,} visits",
        ),
    ]

"""A PostgreSQL connection in libpq's pipeline mode: statements run in the order sent, each a transaction of its own.

psycopg's own pipeline holds its connection until the answer is there; here the next statement leaves while the one before it
commits, and the answers come as futures. Connecting is psycopg's: it never blocks the loop.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Self

import psycopg
from psycopg import pq

CONNECT_S = 3
ANSWER_S = 15.0
"""A statement without an answer for so long: the connection is given up."""

LOCK_S = 2.0
"""A statement waits so long for a lock that another process holds."""

HELD_IDLE_S = 5.0
"""A session that holds a turn and says nothing for so long is ended by the server: its process stands still, or its machine is
gone. Far more than packing the largest batch takes, also on a machine that has other things to do."""

SETTINGS = {
    "synchronous_commit": "on",
    "lock_timeout": f"{int(LOCK_S * 1000)}",
    # Every statement here reads by key. A plan made while the tables are empty must not scan them when they are full.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # The server notices soon that a writer's machine has gone.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

Row = tuple[bytes | None, ...]
Answer = asyncio.Future[list[Row]]


class Lost(Exception):
    """The connection broke, or there is none. What was under way may have been committed."""


class Failed(Exception):
    """The server refused a statement; nothing of it happened. Carries no values of the statement."""

    def __init__(self, sqlstate: str, constraint: str) -> None:
        super().__init__(f"{sqlstate} {constraint}".strip())
        self.sqlstate = sqlstate


class _Sent:
    __slots__ = ("answer", "at", "failure", "rows")

    def __init__(self, answer: Answer) -> None:
        self.answer, self.at = answer, monotonic()
        self.rows: list[Row] = []
        self.failure: Failed | None = None


class Pipe:
    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection, self._pg = connection, connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._sent: deque[_Sent] = deque()
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._fd = self._pg.socket
        self._loop.add_reader(self._fd, self._read)
        self._watch = self._loop.call_later(ANSWER_S, self._watched)
        self.closed = False

    @classmethod
    async def open(cls, url: str, statements: Mapping[bytes, str]) -> Self:
        """Connects and prepares the statements by their names. Raises Lost when the server cannot be reached."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url),
                autocommit=True,
                connect_timeout=CONNECT_S,
                application_name="daohu-ledger",
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                options=" ".join(f"-c {name}={value}" for name, value in SETTINGS.items()),
            )
        except (psycopg.Error, OSError) as error:
            raise Lost(type(error).__name__) from error
        pipe = cls(connection)
        try:
            await asyncio.gather(*(pipe._prepare(name, sql) for name, sql in statements.items()))
        except BaseException:
            pipe.close()
            raise
        return pipe

    def send(self, name: bytes, *params: bytes | None, executed: Callable[[], None] | None = None) -> Answer:
        """Sends a prepared statement with binary parameters; its rows come binary too, or Failed, or Lost.

        `executed` is called when the statement has left and its commit has not: the server has run it, or is about to.
        """

        def give() -> None:
            self._pg.send_query_prepared(name, params, param_formats=[pq.Format.BINARY] * len(params), result_format=1)

        return self._send(give, executed)

    def _prepare(self, name: bytes, sql: str) -> Answer:
        return self._send(lambda: self._pg.send_prepare(name, sql.encode()), None)

    def _send(self, give: Callable[[], None], executed: Callable[[], None] | None) -> Answer:
        answer: Answer = self._loop.create_future()
        if self.closed:
            answer.set_exception(Lost("closed"))
            return answer
        self._sent.append(_Sent(answer))
        try:
            give()
            if executed is not None:
                self._pg.send_flush_request()
                self._pg.flush()
                executed()
            self._pg.pipeline_sync()
        except psycopg.Error as error:
            self._lose(error)
        else:
            self._flush()
        return answer

    def close(self) -> None:
        self._lose(Lost("closed"))

    def _flush(self) -> None:
        try:
            unsent = self._pg.flush()
        except psycopg.Error as error:
            self._lose(error)
            return
        if unsent:
            self._loop.add_writer(self._fd, self._flush)
        else:
            self._loop.remove_writer(self._fd)

    def _read(self) -> None:
        try:
            self._pg.consume_input()
            while self._sent and not self._pg.is_busy():
                if (result := self._pg.get_result()) is not None:
                    self._take(result)
            if self._pg.status != pq.ConnStatus.OK:
                raise Lost("the server ended the connection")
        except (psycopg.Error, Lost) as error:
            self._lose(error)

    def _take(self, result: "pq.abc.PGresult") -> None:
        sent = self._sent[0]
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            self._sent.popleft()
            if sent.answer.done():
                return
            if sent.failure is not None:
                sent.answer.set_exception(sent.failure)
            else:
                sent.answer.set_result(sent.rows)
        elif result.status == pq.ExecStatus.TUPLES_OK:
            width = range(result.nfields)
            sent.rows = [tuple([result.get_value(row, column) for column in width]) for row in range(result.ntuples)]
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            sent.failure = Failed(
                _said(result, pq.DiagnosticField.SQLSTATE), _said(result, pq.DiagnosticField.CONSTRAINT_NAME)
            )

    def _watched(self) -> None:
        """A server that hangs without closing anything is noticed here."""
        if self._sent and monotonic() - self._sent[0].at > ANSWER_S:
            self._lose(Lost("no answer"))
        else:
            self._watch = self._loop.call_later(ANSWER_S / 4, self._watched)

    def _lose(self, error: Exception) -> None:
        if self.closed:
            return
        self.closed = True
        self._watch.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._pg.finish()
        while self._sent:
            sent = self._sent.popleft()
            if not sent.answer.done():
                sent.answer.set_exception(Lost(str(error)))


def _said(result: "pq.abc.PGresult", field: pq.DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode()

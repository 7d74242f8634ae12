"""The stack: middleware, metrics, token check and the route's gate, against a bare FastAPI route in the same process."""

from bench.env import Env
from bench.harness import Case
from bench.http_load import Target


def cases(env: Env) -> list[Case]:
    target = env.stack.enter_context(Target("registry", env.room("stack")))
    return [
        Case(
            name="stack of middleware and token check",
            unit="requests/s",
            sense="at least",
            target=0.6,
            measure=lambda: target.rate(target.gets("/registry/v1/trivial")),
            floor=lambda: target.rate(target.gets("/bare/trivial", signed=False)),
            against="a bare FastAPI route, 32 callers",
        )
    ]

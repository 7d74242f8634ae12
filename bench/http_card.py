"""The card of a household with its people, 500 of them in turn, against a trivial route behind the same stack."""

from bench.env import Env
from bench.harness import Case
from bench.http_load import Target


def cases(env: Env) -> list[Case]:
    postgres = env.postgres
    embedded = env.stack.enter_context(Target("registry", env.room("embedded")))
    distributed = env.stack.enter_context(Target("registry", env.room("distributed"), postgres.url(postgres.take())))
    return [_case("embedded", 0.45, embedded), _case("PostgreSQL", 0.30, distributed)]


def _case(where: str, goal: float, target: Target) -> Case:
    return Case(
        name=f"household card, {where}",
        unit="requests/s",
        sense="at least",
        target=goal,
        measure=lambda: target.rate(target.gets(*target.paths)),
        floor=lambda: target.rate(target.gets("/registry/v1/trivial")),
        against="a trivial route behind the same stack, 32 callers",
    )

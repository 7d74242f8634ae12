"""The whole examination: every check in turn. One that cannot be made is a finding too, and the others go on."""

import asyncio
from pathlib import Path

from services.doctor import checks, ledger_checks, sign_in_checks
from services.doctor.checks import Check
from services.doctor.findings import Finding, State
from services.doctor.patient import ANSWER_S, Patient, examined
from shared.clock import Clock
from shared.failures import place_of

CHECKS: dict[str, Check] = {
    "clock": checks.clock,
    "keys": checks.key_files,
    "sign-in": sign_in_checks.providers,
    "database": checks.databases,
    "topics": checks.topics,
    "outbox": checks.outboxes,
    "lag": checks.lag,
    "dead letters": checks.dead_letters,
    "retention": checks.retention,
    "backup": checks.backup,
    "log": ledger_checks.log,
    "disk": checks.disk,
}


async def examine(home: Path, machine: Clock | None = None) -> list[Finding]:
    """`machine`: the machine's clock."""
    async with examined(home, machine) as patient:
        return [finding for name, check in CHECKS.items() for finding in await _made(name, check, patient)]


async def _made(name: str, check: Check, patient: Patient) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(ANSWER_S):
            async for finding in check(patient):
                found.append(finding)
    except Exception as error:  # a database or a broker that is away fails many checks; each says so
        why = f"cannot be looked at ({type(error).__name__} in {place_of(error)})"
        found.append(Finding(name, "", State.FAIL, why, "see what database and topics say; 先看数据库与主题两项"))
    return found

"""The check of sign-in: does each provider whose tokens count show keys that fit, from where this machine stands?"""

import asyncio
from collections.abc import AsyncIterator

import httpx

from services.doctor.findings import Finding, State
from services.doctor.patient import Patient
from shared import oidc
from shared.keyfiles import KeyFileBroken


async def providers(patient: Patient) -> AsyncIterator[Finding]:
    """Asks all at once, as a service that starts does."""
    file = patient.settings.oidc_issuers
    if file is None and not patient.settings.local_issuer:
        yield Finding(
            "sign-in", "", State.FAIL, "nobody's token counts",
            "set DAOHU_OIDC_ISSUERS, or leave DAOHU_LOCAL_ISSUER on (docs/sign-in.md); 配置统一身份认证",
        )  # fmt: skip
        return
    if file is None:
        yield Finding("sign-in", "", State.OK, "no provider is named; tokens of the deployment's own key count")
        return
    try:
        listed = oidc.issuers_at(file)
    except KeyFileBroken as error:
        yield Finding(
            "sign-in", "", State.FAIL, str(error),
            "correct it before anything is restarted: no service starts with it (docs/sign-in.md); 修正配置文件",
        )  # fmt: skip
        return
    for finding in await asyncio.gather(*map(_look, listed)):
        yield finding


async def _look(issuer: oidc.Issuer) -> Finding:
    try:
        keys = await oidc.published_by(issuer)
    except (httpx.HTTPError, OSError, ValueError) as error:
        return Finding(
            "sign-in", issuer.issuer, State.FAIL, f"does not show its keys ({type(error).__name__})",
            "is it up, may this machine reach it, is its authority in SSL_CERT_FILE? Call its people and restart nothing meanwhile: "
            "its last keys count for 12 h in the processes that run (docs/operations.md, DaohuIssuerAway); 联系统一身份认证，勿重启",
        )  # fmt: skip
    if not keys:
        return Finding(
            "sign-in", issuer.issuer, State.FAIL, f"shows no key for {', '.join(issuer.algorithms)}",
            "name the algorithm it signs with under `algorithms` (docs/sign-in.md); 核对签名算法",
        )  # fmt: skip
    return Finding("sign-in", issuer.issuer, State.OK, f"shows {len({kid for kid, _ in keys})} keys that fit")

"""For every route what is asked of it: with one's own things, with the other town's, and with things that do not exist.

A route that stands neither here nor in PUBLIC fails the test. Words in braces are things of a town (`Town.things`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from area_rule.house import as_csv
from area_rule.town import LAST_MONTH, MONTH, WEEK, card
from services import token_endpoint
from services.assessment.directory.imports import DIRECTORY
from services.funds.payees.imports import PAYEES
from services.notify.contacts.imports import CONTACTS
from services.registry.divisions.imports import DIVISIONS
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from services.registry.measures.imports import MEASURES
from shared import app
from shared.pii import TEST_ID_AREA, make_check_digit

PUBLIC = {f"GET /{service}{path}": reason for service in ("registry", "funds", "assessment", "notify")
          for path, reason in app.PUBLIC.items() if path not in ("/metrics", "/openapi.json")}  # fmt: skip
"""Routes that ask for no token, with the reason. `/openapi.json` does not name itself."""

HOUSE = {
    "GET /livez": app.PUBLIC["/livez"],
    "GET /readyz": app.PUBLIC["/readyz"],
    "GET /metrics": app.PUBLIC["/metrics"],
    "GET /openapi.json": app.PUBLIC["/openapi.json"],
    f"POST {token_endpoint.PATH}": token_endpoint.REASON,
    "POST /demo/v1/clock": "only where the clock is movable; asks for the county administrator and shows no row",
}
"""The embedded house's own routes, with the reason why they are not among the checked ones."""

Things = Mapping[str, str]
Body = Callable[[Things], Any]

LOOKS = "how often somebody has looked is told by what was asked before"
THE_LOG = "the signed log is one for the county: its size and hashes are public by design, its records are not"
A_NUMBER = "numbers are unique in the whole county: that one is taken is told, whose it is is not"
A_CARD = card(999_999, 1)
_BODY_OF_NUMBER = f"{TEST_ID_AREA}19500101001"
A_NUMBER_OF_NOBODY = _BODY_OF_NUMBER + make_check_digit(_BODY_OF_NUMBER)


@dataclass(frozen=True, slots=True)
class Ask:
    """One way to ask a route.

    `log`: why two houses may answer differently (then only the status is compared).
    `taken`: why what exists may be answered otherwise than what does not.
    """

    query: str = ""
    body: Body | None = None
    path: str = ""
    log: str = ""
    taken: str = ""


def _json(**fields: Any) -> Body:
    """A JSON body whose texts may name things in braces."""
    return lambda things: _filled(fields, things)


def _filled(value: Any, things: Things) -> Any:
    if isinstance(value, str):
        return value.format_map(things)
    if isinstance(value, dict):
        return {key: _filled(inner, things) for key, inner in value.items()}
    return [_filled(inner, things) for inner in value] if isinstance(value, list) else value


def _results(service: str, *kinds: str) -> dict[str, tuple[Ask, ...]]:
    """The routes that are the same in each service: what became of a file, who looked at whom."""
    path, imported = f"/{service}/v1/imports", f"{{{service}_import_id}}"
    return {
        f"GET /{service}/v1/looks": (Ask("household={household_id}", log=LOOKS), Ask("by={discipline}", log=LOOKS)),
        f"GET {path}/{{import_id}}": (Ask(path=imported),),
        f"GET {path}/{{import_id}}/report": (Ask(path=imported),),
        f"GET {path}/{{kind}}/template": tuple(Ask(path=kind) for kind in kinds),
    }


def _file(spec: Any, **cells: str) -> Body:
    return lambda things: as_csv(spec, {key: cell.format_map(things) for key, cell in cells.items()})


_MEMBER = {
    "name": "甲", "sex": "1", "id_number": A_NUMBER_OF_NOBODY, "relation": "20", "education": "80", "student": "01",
    "health": "01", "labour": "01", "insured": True, "reason": "迁入",
}  # fmt: skip
_HOME = {
    "household_no": "{village}0099", "division": "{village}", "attribute": "01", "cause": "01", "housing": "01",
    "safe_water": True, "members": [{k: v for k, v in _MEMBER.items() if k != "reason"} | {"relation": "02"}],
}  # fmt: skip
_HOME_ROW = {
    "division": "{village}", "status": "未脱贫", "attribute": "01", "cause": "01", "housing": "01", "safe_water": "是",
}  # fmt: skip
_PERSON_ROW = {
    "name": "甲", "sex": "男", "id_number": A_NUMBER_OF_NOBODY, "relation": "之子", "ethnic": "汉族", "education": "小学",
    "student": "01", "health": "01", "labour": "01", "dibao": "否", "insured": "是", "pension": "是",
}  # fmt: skip
_PROJECT = {
    "name": "茶园", "kind": "产业", "description": "建茶园", "unit": "农业局", "year": 2016, "performance_target": "增收",
    "due_on": "2016-12-31",
}  # fmt: skip

_PERIOD = {"divisions": ["{village}"], "since": "2016-12-01", "until": "2016-12-09", "reason": "外出学习"}

REGISTRY = {
    "GET /registry/v1/divisions": (Ask(), Ask("level=village"), Ask("parent={division}")),
    "GET /registry/v1/divisions/{code}": (Ask(path="{division}"), Ask(path="{village}")),
    "GET /registry/v1/households": (
        Ask(), Ask("division={division}"), Ask("household_no={household_no}"), Ask("status=candidate"),
    ),
    "GET /registry/v1/households/changes": (Ask(),),
    "GET /registry/v1/households/{household_id}": (Ask(),),
    "PATCH /registry/v1/households/{household_id}": (
        Ask(body=_json(remark="改", reason="改")), Ask(body=_json(division="{village}", reason="改")),
    ),
    "GET /registry/v1/households/{household_id}/as-of": (Ask(), Ask("valid_on=2016-11-02")),
    "GET /registry/v1/households/{household_id}/history": (Ask(),),
    "POST /registry/v1/households/{household_id}/members": (
        Ask(body=_json(**_MEMBER)), Ask(body=_json(**{**_MEMBER, "id_number": "{id_number}"}), taken=A_NUMBER),
    ),
    "PATCH /registry/v1/households/{household_id}/members/{member_id}": (
        Ask(body=_json(name="乙", reason="改名")),
    ),
    "POST /registry/v1/households/{household_id}/members/{member_id}/erasure": (Ask(body=_json(reason="本人申请")),),
    "POST /registry/v1/households/{household_id}/members/{member_id}/unmask": (Ask(body=_json(reason="核对")),),
    **_results("registry", "divisions", "households", "people", "measures"),
    "POST /registry/v1/imports/{kind}": (
        Ask(path="divisions", body=_file(DIVISIONS, code="{village}", name="改名村", level="村", parent="{division}")),
        Ask(path="divisions", body=_file(DIVISIONS, code="610926000000", name="改名县", level="县", parent="610900000000"),
            taken=A_NUMBER),
        Ask(path="households", body=_file(HOUSEHOLDS, household_no="{household_no}", **_HOME_ROW), taken=A_NUMBER),
        Ask(path="people", body=_file(PEOPLE, household_no="{household_no}", **_PERSON_ROW)),
        Ask(path="people", body=_file(PEOPLE, household_no="{household_no}", **{**_PERSON_ROW, "id_number": "{id_number}"}),
            taken=A_NUMBER),
        Ask(path="measures", body=_file(MEASURES, household_no="{household_no}", pathway="健康扶贫", year="2016",
                                        started_on="2016-03-01")),
    ),
    "POST /registry/v1/cases": (
        Ask(body=_json(kind="exit", household_id="{household_id}")),
        Ask(body=_json(kind="identification", household=_HOME)),
    ),
    "GET /registry/v1/cases": (
        Ask(), Ask("household_id={exit_household_id}"), Ask("division={division}"), Ask("kind=exit&state=open"),
    ),
    "GET /registry/v1/cases/{case_id}": (Ask(), Ask(path="{open_case_id}")),
    "POST /registry/v1/cases/{case_id}/decisions": (
        Ask(body=_json(step="announcement", verdict="reject", reason="不同意")),
    ),
    "POST /registry/v1/cases/{case_id}/notices": (Ask(body=_json(step="announcement", place="公开栏")),),
    "GET /registry/v1/cases/{case_id}/notices": (Ask(),),
    "POST /registry/v1/cases/{case_id}/objections": (Ask(body=_json(text="不实")),),
    "POST /registry/v1/cases/{case_id}/objections/{ref}/answers": (
        Ask(path="{case_id}/1", body=_json(finding="dismissed", text="属实")),
    ),
    "POST /registry/v1/measures": (
        Ask(body=_json(household_id="{household_id}", pathway="health", year=2016, started_on="2016-03-01")),
    ),
    "GET /registry/v1/measures": (
        Ask(), Ask("household_id={household_id}"), Ask("division={division}"), Ask("pathway=industry&year=2016"),
    ),
    "GET /registry/v1/measures/{measure_id}": (Ask(),),
    "POST /registry/v1/measures/{measure_id}/end": (Ask(body=_json(ended_on="2016-11-20", reason="出售")),),
    "GET /registry/v1/statistics/pathways": (
        Ask(), Ask("division={division}"), Ask("scope=exit_target_2016&year=2016"),
    ),
    "GET /registry/v1/statistics/households": (
        Ask(), Ask("level=county"), Ask("level=village"), Ask("division={division}"),
    ),
    "POST /registry/v1/visits": (
        Ask(body=_json(household_id="{household_id}", cadre_no="GB-9", visited_on="2016-11-20")),
    ),
    "GET /registry/v1/visits": (
        Ask(), Ask("household_id={household_id}"), Ask("cadre_no={post_cadre_no}"), Ask("division={division}"),
    ),
    "POST /registry/v1/visits/batch": (
        Ask(body=_json(items=[{"household_id": "{household_id}", "cadre_no": "GB-9", "visited_on": "2016-11-20"}])),
    ),
    "GET /registry/v1/visits/{visit_id}": (Ask(),),
    "POST /registry/v1/mandates": (Ask(body=_json(holder="N-1", absent="N-2", roles=["town_office"], **_PERIOD)),),
    "GET /registry/v1/mandates": (Ask(), Ask("on=2016-11-21")),
    "GET /registry/v1/mandates/{mandate_id}": (Ask(),),
    "POST /registry/v1/mandates/{mandate_id}/endings": (Ask(body=_json(reason="返岗")),),
    "POST /registry/v1/engagements": (Ask(body=_json(auditors=["N-3"], object="资金", **_PERIOD)),),
    "GET /registry/v1/engagements": (Ask(), Ask("on=2016-11-21")),
    "GET /registry/v1/engagements/{mandate_id}": (Ask(path="{engagement_id}"),),
    "POST /registry/v1/engagements/{mandate_id}/endings": (Ask(path="{engagement_id}", body=_json(reason="结项")),),
}  # fmt: skip

FUNDS = {
    "POST /funds/v1/sources": (
        Ask(body=_json(fund_no="N-1", name="新", level="county", year=2016, division="{division}", document_no="1")),
        Ask(body=_json(fund_no="{fund_no}", name="新", level="county", year=2016, division="{division}", document_no="1"),
            taken=A_NUMBER),
    ),
    "GET /funds/v1/sources": (Ask(), Ask("year=2016&level=county")),
    "GET /funds/v1/sources/{source_id}": (Ask(), Ask(path="{county_source_id}")),
    "POST /funds/v1/sources/{source_id}/receipts": (
        Ask(body=_json(amount_fen=1, received_on="2016-11-20", voucher_no="PZ-9")),
    ),
    "POST /funds/v1/projects": (
        Ask(body=_json(project_no="XM-N-1", division="{village}", **_PROJECT)),
        Ask(body=_json(project_no="{project_no}", division="{village}", **_PROJECT), taken=A_NUMBER),
    ),
    "GET /funds/v1/projects": (Ask(), Ask("division={division}"), Ask("year=2016")),
    "GET /funds/v1/projects/{project_id}": (Ask(),),
    "POST /funds/v1/projects/{project_id}/decisions": (Ask(body=_json(act="approve", verdict="pass")),),
    "POST /funds/v1/projects/{project_id}/allocations": (Ask(body=_json(source_id="{source_id}", amount_fen=1)),),
    "POST /funds/v1/projects/{project_id}/tranches": (
        Ask(body=_json(tranche_no="BF-N-1", amount_fen=100, basis="people")),
        Ask(body=_json(tranche_no="BF-N-2", amount_fen=100, basis="people", households=["{household_no}"])),
        Ask(body=_json(tranche_no="{tranche_no}", amount_fen=100, basis="people"), taken=A_NUMBER),
    ),
    "GET /funds/v1/tranches": (Ask(), Ask("project_id={project_id}")),
    "GET /funds/v1/tranches/{tranche_id}": (Ask(),),
    "GET /funds/v1/tranches/{tranche_id}/lines": (Ask(),),
    "POST /funds/v1/tranches/{tranche_id}/decisions": (Ask(body=_json(act="approve", verdict="pass")),),
    "POST /funds/v1/tranches/{tranche_id}/holds": (Ask(),),
    "POST /funds/v1/tranches/{tranche_id}/voids": (Ask(body=_json(reason="停止")),),
    "POST /funds/v1/tranches/{tranche_id}/payments": (Ask(),),
    "POST /funds/v1/notices": (
        Ask(body=_json(subject="tranche:{tranche_id}", place="公开栏")),
        Ask(body=_json(subject="project:{project_id}", place="公开栏")),
    ),
    "GET /funds/v1/notices": (Ask(), Ask("subject=tranche:{tranche_id}")),
    "GET /funds/v1/notices/{notice_id}": (Ask(),),
    "GET /funds/v1/notices/{notice_id}/lines": (Ask(),),
    "POST /funds/v1/notices/{notice_id}/objections": (Ask(body=_json(text="不实")),),
    "GET /funds/v1/notices/{notice_id}/objections": (Ask(),),
    "POST /funds/v1/notices/{notice_id}/objections/{objection_id}/answers": (
        Ask(body=_json(finding="rejected", text="属实")),
    ),
    **_results("funds", "payees"),
    "POST /funds/v1/imports/{kind}": (
        Ask(path="payees", body=_file(PAYEES, household_no="{household_no}", account_name="甲", card_number=A_CARD, bank="银行")),
        Ask(path="payees", body=_file(PAYEES, household_no="{household_no}", account_name="甲", card_number="{card}", bank="银行"),
            taken=A_NUMBER),
    ),
    "GET /funds/v1/payees": (Ask(), Ask("division={division}"), Ask("household_no={household_no}")),
    "GET /funds/v1/trail/funds/{source_id}": (Ask(), Ask(path="{county_source_id}")),
    "GET /funds/v1/trail/funds/{source_id}/projects/{project_id}": (Ask(),),
    "GET /funds/v1/trail/funds/{source_id}/tranches/{tranche_id}": (Ask(),),
    "GET /funds/v1/trail/funds/{source_id}/bundle": (Ask(log=THE_LOG),),
    "GET /funds/v1/trail/households/{household_no}": (Ask(),),
    "GET /funds/v1/trail/households/{household_no}/bundle": (Ask(log=THE_LOG),),
    "GET /funds/v1/trail/gaps": (Ask(), Ask("year=2016")),
    "GET /funds/v1/entries": (
        Ask(), Ask("kind=paid"), Ask("account=project/{project_no}/{fund_no}"), Ask("account=hold/{tranche_no}/C-1"),
    ),
    "GET /funds/v1/entries/{seq}": (Ask(),),
    "GET /funds/v1/checkpoints/latest": (Ask(log=THE_LOG),),
    "GET /funds/v1/log-key": (Ask(log=THE_LOG),),
    "GET /funds/v1/proofs/{seq}": (Ask(log=THE_LOG),),
    "GET /funds/v1/consistency": (Ask("from=1&to=2", log=THE_LOG),),
    "GET /funds/v1/leaves": (Ask("after=1&to=2", log=THE_LOG),),
    "POST /funds/v1/checkpoints/{size}/cosignatures": (Ask(path="2", body=_json(line="— witness.test AAAA"), log=THE_LOG),),
    "GET /funds/v1/bundles": (Ask("seq={seq}", log=THE_LOG),),
}  # fmt: skip

ASSESSMENT = {
    **_results("assessment", "directory"),
    "POST /assessment/v1/imports/{kind}": (
        Ask(path="directory", body=_file(DIRECTORY, cadre_no="{post_cadre_no}", name="甲", post="第一书记", unit="局", division="{village}",
                       since="2016-02-01"), taken=A_NUMBER),
    ),
    "GET /assessment/v1/cadres": (Ask(), Ask("division={division}"), Ask("post=town_chief&on=2016-11-01")),
    "GET /assessment/v1/cadres/{cadre_no}": (Ask(),),
    "POST /assessment/v1/cadres/{cadre_no}/posts": (
        Ask(body=_json(post="town_chief", unit="局", division="{division}", since="2016-02-01")),
    ),
    "POST /assessment/v1/cadres/{cadre_no}/posts/{post_id}/endings": (
        Ask(path="{post_cadre_no}/{post_id}", body=_json(until="2016-11-01")),
    ),
    "POST /assessment/v1/targets": (
        Ask(body=_json(items=[{"division": "{division}", "year": 2016, "indicator": "exits", "planned": 9, "version": 1}])),
    ),
    "GET /assessment/v1/targets": (Ask(), Ask("year=2016&indicator=exits")),
    "GET /assessment/v1/schemes": (Ask(f"division={{division}}&period={MONTH}"),),
    "POST /assessment/v1/annual-weights": (
        Ask(body=_json(division="{division}", year=2016, units="towns", percent=60)),
        Ask(body=_json(division="610926000000", year=2016, units="towns", percent=65)),
    ),
    "GET /assessment/v1/annual-weights": (Ask(), Ask("year=2016")),
    "GET /assessment/v1/facts": (
        Ask(), Ask("division={division}"), Ask("cadre_no={post_cadre_no}"), Ask(f"period={MONTH}"),
    ),
    "GET /assessment/v1/facts/{event_id}": (Ask(),),
    "GET /assessment/v1/facts/{event_id}/affected": (Ask(),),
    "POST /assessment/v1/facts/{event_id}/withdrawals": (Ask(body=_json(reason="不实")),),
    "POST /assessment/v1/scores/runs": (
        Ask(body=_json(division="{division}", period=MONTH)), Ask(body=_json(division="610926000000", period=MONTH)),
    ),
    "GET /assessment/v1/scores/runs": (Ask(), Ask(f"period={MONTH}")),
    "GET /assessment/v1/scores/runs/{run_id}/changes": (Ask(),),
    "GET /assessment/v1/scores": (
        Ask(f"period={MONTH}"), Ask(f"period={LAST_MONTH}"), Ask(f"period={MONTH}&kind=cadre"),
        Ask(f"period={MONTH}&division={{division}}"),
    ),
    "GET /assessment/v1/scores/{subject}/explanation": (
        Ask(f"period={MONTH}"), Ask(f"period={MONTH}", path="cadre:{post_cadre_no}"), Ask(f"period={LAST_MONTH}"),
    ),
    "POST /assessment/v1/scores/{subject}/appeals": (
        Ask(body=_json(period=LAST_MONTH, reason="漏计")),
        Ask(body=_json(period=LAST_MONTH, reason="漏计"), path="cadre:{post_cadre_no}"),
    ),
    "POST /assessment/v1/scores/{subject}/confirmations": (Ask(body=_json(period=LAST_MONTH, answer="维持")),),
}  # fmt: skip

NOTIFY = {
    **_results("notify", "contacts"),
    "POST /notify/v1/imports/{kind}": (Ask(path="contacts", body=_file(CONTACTS, cadre_no="{cadre_no}", phone="19900999999")),),
    "GET /notify/v1/contacts": (Ask(),),
    "DELETE /notify/v1/contacts/{cadre_no}/opt-out": (Ask(path="{opted_out_no}"),),
    "POST /notify/v1/briefs": (Ask(body=_json(division="{division}", week="2016-W48", tasks=["走访"])),),
    "GET /notify/v1/briefs": (Ask(), Ask(f"week={WEEK}")),
    "GET /notify/v1/briefs/{brief_id}": (Ask(),),
    "PUT /notify/v1/briefs/{brief_id}": (Ask(body=_json(tasks=["走访"])),),
    "GET /notify/v1/prompts": (Ask(), Ask(f"week={WEEK}&campaign=weekly"), Ask("state=delivered")),
    "GET /notify/v1/prompts/{prompt_id}": (Ask(),),
    "POST /notify/v1/prompts/{prompt_id}/decisions": (Ask(body=_json(decision="resend")),),
    "POST /notify/v1/receipts": (Ask(body=_json(message_id="{message_id}", type="failed")),),
    "GET /notify/v1/phones/{cadre_no}/messages": (Ask(),),
    "POST /notify/v1/inbound": (
        Ask(body=lambda t: {"from": t["phone"], "text": "退订", "received_at": "2016-11-20T08:00:00Z",
                            "message_ref": f"late-{t['division']}"}),
    ),
    "GET /notify/v1/inbound": (Ask(), Ask("kind=report"), Ask(f"week={WEEK}")),
    "POST /notify/v1/reports": (Ask(body=_json(cadre_no="{cadre_no}", text="已完成")),),
    "GET /notify/v1/reports": (Ask(f"week={WEEK}"),),
    "GET /notify/v1/weeks/{week}": (Ask(path=WEEK),),
    "GET /notify/v1/weeks/{week}/recipients": (Ask(path=WEEK), Ask("reported=false", path=WEEK)),
    "GET /notify/v1/alarms": (Ask(), Ask("only_open=false")),
    "POST /notify/v1/alarms/{alarm_id}/acknowledgements": (Ask(),),
}  # fmt: skip

ASKS: dict[str, tuple[Ask, ...]] = {**REGISTRY, **FUNDS, **ASSESSMENT, **NOTIFY}

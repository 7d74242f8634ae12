"""shared.policy: packs are checked to the line and column; a look-up finds the nearest ancestor's value of the day."""

import csv
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.events.contracts import REGISTRY
from shared.policy import MAX_PACK_BYTES, MAX_PROBLEMS, RULE_ID, PackRefused, PolicyBook, PolicyMissing, read_pack
from shared.policy_shapes import SHAPES

ROOT = Path(__file__).parents[2]
COUNTY, TOWN, VILLAGE, OTHER_TOWN = "610926000000", "610926100000", "610926100224", "610926104000"
DAY = date(2016, 11, 7)

HEAD = f"""\
place: pingli
name: 平利县
scope: county
division: "{COUNTY}"
title: {{zh: 甲, en: A}}
parameters:
"""
DAYS = """\
  funds.publicity_days:
    unit: days
    effective_from: 2016-01-01
    basis: ours
    source: we chose it
    value: 10
"""


def book(*parameters: str) -> PolicyBook:
    return PolicyBook(read_pack((HEAD + "".join(parameters)).encode(), "pack.yaml"))


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(PackRefused) as bad:
        read_pack(text if isinstance(text, bytes) else text.encode(), "pack.yaml")
    assert str(bad.value) == "\n".join(map(str, bad.value.problems))
    return [str(problem) for problem in bad.value.problems]


@pytest.fixture(scope="module")
def pingli() -> PolicyBook:
    return PolicyBook.load(ROOT / "policies")


class TestLookUp:
    def test_a_village_gets_the_countys_value(self):
        assert book(DAYS).value("funds.publicity_days", VILLAGE, DAY) == 10

    def test_the_nearest_division_that_has_a_value_wins(self):
        packs = book(DAYS + f'    areas: {{"{TOWN}": 12, "{VILLAGE}": 14}}\n')
        found = {d: packs.value("funds.publicity_days", d, DAY) for d in (VILLAGE, "610926100200", OTHER_TOWN, COUNTY)}
        assert found == {VILLAGE: 14, "610926100200": 12, OTHER_TOWN: 10, COUNTY: 10}

    @pytest.mark.rule("XC-001")
    def test_a_newer_document_replaces_an_older_one_from_its_first_day(self):
        packs = book(
            """\
  funds.publicity_days:
    - {unit: days, effective_from: 2016-01-01, basis: ours, source: the older opinion, value: 7}
    - {unit: days, effective_from: 2018-12-29, basis: ours, source: the newer opinion, value: 10}
"""
        )
        key = "funds.publicity_days"
        assert packs.value(key, VILLAGE, date(2018, 12, 28)) == 7
        assert packs.value(key, VILLAGE, date(2018, 12, 29)) == 10
        assert packs.explain(key, VILLAGE, date(2018, 12, 29)).source == "the newer opinion"

    def test_a_value_ends_with_its_last_day_and_the_older_one_counts_again(self):
        packs = book(
            """\
  funds.publicity_days:
    - {unit: days, effective_from: 2016-01-01, basis: ours, source: for good, value: 7}
    - {unit: days, effective_from: 2017-01-01, effective_to: 2017-12-31, basis: ours, source: one year, value: 10}
"""
        )
        years = [
            packs.value("funds.publicity_days", COUNTY, d)
            for d in (date(2016, 12, 31), date(2017, 12, 31), date(2018, 1, 1))
        ]
        assert years == [7, 10, 7]

    @pytest.mark.parametrize(
        ("key", "division", "on"),
        [
            ("funds.publicity_days", COUNTY, date(2015, 12, 31)),
            ("funds.publicity_days", "610924000000", DAY),
            ("funds.publicity_days", "610900000000", DAY),
            ("notify.report_due", COUNTY, DAY),
        ],
    )
    def test_nothing_is_guessed_where_no_pack_speaks(self, key, division, on):
        with pytest.raises(PolicyMissing) as missing:
            book(DAYS).value(key, division, on)
        assert missing.value.status == 409
        assert missing.value.facts == {"key": key, "division": division, "on": on.isoformat()}

    @given(
        st.lists(st.dates(date(2010, 1, 1), date(2030, 1, 1)), min_size=1, max_size=6, unique=True),
        st.dates(date(2009, 1, 1), date(2031, 1, 1)),
    )
    def test_of_several_dates_the_latest_that_has_come_counts(self, starts, on):
        entries = "".join(
            f"    - {{unit: days, effective_from: {day}, basis: ours, source: entry, value: {i + 1}}}\n"
            for i, day in enumerate(starts)
        )
        packs = book("  funds.publicity_days:\n" + entries)
        begun = [day for day in starts if day <= on]
        if begun:
            assert packs.value("funds.publicity_days", VILLAGE, on) == starts.index(max(begun)) + 1
        else:
            with pytest.raises(PolicyMissing):
                packs.value("funds.publicity_days", VILLAGE, on)


class TestLists:
    def test_ours_also_lists_what_is_ours_in_part(self):
        partly = DAYS.replace("funds.publicity_days", "funds.allocation_publish_deadline").replace(
            "basis: ours\n    source: we chose it",
            "basis: standard\n    source: standards.md 5.1\n    ours: from when it counts",
        )
        whole = DAYS.replace("funds.publicity_days", "registry.visit_back_days").replace(
            "basis: ours\n    source: we chose it", "basis: seed\n    source: seed 003, REG-032"
        )
        packs = book(DAYS, partly, whole)
        assert [p.key for p in packs.list("pingli", "ours")] == [
            "funds.publicity_days",
            "funds.allocation_publish_deadline",
        ]
        assert [p.key for p in packs.list("pingli", "seed")] == ["registry.visit_back_days"]
        assert [p.key for p in packs.list("pingli", "standard")] == ["funds.allocation_publish_deadline"]
        assert len(packs.list("pingli")) == len(packs.list()) == 3

    def test_a_place_without_a_pack_is_said_to_have_none(self):
        with pytest.raises(LookupError, match="ziyang"):
            book(DAYS).list("ziyang")

    def test_a_value_is_listed_with_everything_that_judges_it(self):
        (value,) = book(DAYS).list()
        assert value.as_dict() == {
            "place": "pingli",
            "key": "funds.publicity_days",
            "division": COUNTY,
            "value": 10,
            "unit": "days",
            "effective_from": "2016-01-01",
            "effective_to": None,
            "basis": "ours",
            "source": "we chose it",
            "ours": None,
        }


class TestWrongPacks:
    """A wrong pack is refused with file, line, column, the way of keys, and the reason."""

    def test_a_value_of_a_wrong_kind(self):
        assert problems(HEAD + DAYS.replace("value: 10", 'value: "10"')) == [
            "pack.yaml:12:12: parameters.funds.publicity_days.value: Input should be a valid integer (it is '10')"
        ]

    def test_a_value_out_of_range(self):
        (found,) = problems(HEAD + DAYS.replace("value: 10", "value: 0"))
        assert found.startswith("pack.yaml:12:12: parameters.funds.publicity_days.value: ")
        assert "greater than or equal to 1" in found

    def test_a_key_that_does_not_exist_is_named_with_its_neighbour(self):
        assert problems(HEAD + DAYS.replace("publicity_days", "publicty_days")) == [
            "pack.yaml:7:3: parameters.funds.publicty_days: there is no parameter of this name; did you mean funds.publicity_days?"
        ]

    def test_a_field_that_does_not_exist(self):
        (found,) = problems(HEAD + DAYS + "    colour: red\n")
        assert found.startswith("pack.yaml:13:5: parameters.funds.publicity_days.colour: Extra inputs")

    def test_a_missing_field_is_told_at_its_parent(self):
        (found,) = problems(HEAD + DAYS.replace("    unit: days\n", ""))
        assert found == "pack.yaml:8:5: parameters.funds.publicity_days.unit: Field required"

    @pytest.mark.rule("XC-001")
    @pytest.mark.parametrize("field", ["effective_from", "source", "basis"])
    def test_every_value_says_from_when_it_counts_and_which_document_it_is_from(self, field):
        without = "".join(line for line in DAYS.splitlines(keepends=True) if not line.strip().startswith(field))
        (found,) = problems(HEAD + without)
        assert found.endswith(f"parameters.funds.publicity_days.{field}: Field required")

    def test_a_seed_value_without_its_rule_id(self):
        (found,) = problems(HEAD + DAYS.replace("basis: ours", "basis: seed"))
        assert "names its rule id" in found

    def test_a_standard_value_without_its_section(self):
        (found,) = problems(HEAD + DAYS.replace("basis: ours", "basis: standard"))
        assert "names its section" in found

    def test_an_unknown_basis(self):
        (found,) = problems(HEAD + DAYS.replace("basis: ours", "basis: rumour"))
        assert found.startswith("pack.yaml:10:12: parameters.funds.publicity_days.basis: ")

    def test_an_end_before_the_beginning(self):
        (found,) = problems(HEAD + DAYS + "    effective_to: 2015-12-31\n")
        assert "effective_to lies before effective_from" in found

    def test_a_date_that_does_not_exist(self):
        (found,) = problems(HEAD + DAYS.replace("2016-01-01", "2016-02-30"))
        assert found == "pack.yaml:9:21: parameters.funds.publicity_days.effective_from: '2016-02-30' cannot be read"

    def test_two_entries_from_the_same_day(self):
        entry = "    - {unit: days, effective_from: 2016-01-01, basis: ours, source: entry, value: 1}\n"
        (found,) = problems(HEAD + "  funds.publicity_days:\n" + entry + entry)
        assert found.startswith("pack.yaml:9:36: parameters.funds.publicity_days.1.effective_from: another entry")

    def test_a_key_that_occurs_twice(self):
        assert problems(HEAD + DAYS + DAYS) == [
            "pack.yaml:13:3: parameters.funds.publicity_days: this key occurs twice"
        ]

    def test_a_decimal_fraction(self):
        (found,) = problems(HEAD + DAYS.replace("value: 10", "value: 0.15"))
        assert found.startswith("pack.yaml:12:12: ")
        assert "two integers" in found

    @pytest.mark.parametrize("area", ["610924000000", "610926", COUNTY, "610900000000"])
    def test_an_area_that_does_not_lie_inside(self, area):
        (found,) = problems(HEAD + DAYS + f'    areas: {{"{area}": 5}}\n')
        assert found.startswith("pack.yaml:13:13: ")
        assert "inside 610926000000" in found

    def test_a_wrong_value_of_an_area(self):
        (found,) = problems(HEAD + DAYS + f'    areas: {{"{TOWN}": -1}}\n')
        assert found.startswith(f"pack.yaml:13:29: parameters.funds.publicity_days.areas.{TOWN}: ")

    def test_a_division_without_quotes(self):
        (found,) = problems(HEAD.replace(f'"{COUNTY}"', COUNTY) + DAYS)
        assert found.startswith("pack.yaml:4:11: division: ")

    def test_a_scope_that_does_not_fit_its_division(self):
        (found,) = problems(HEAD.replace("scope: county", "scope: township") + DAYS)
        assert "12-digit code of a township" in found

    def test_everything_that_is_wrong_is_told_at_once(self):
        assert len(problems(HEAD + DAYS.replace("value: 10", "value: x").replace("unit: days", "unit: 5"))) == 1
        assert len(problems(HEAD + DAYS.replace("value: 10", "value: x") + "  notify.report_due: {}\n")) == 6

    def test_the_list_of_problems_is_bounded(self):
        assert (
            len(problems(HEAD + "".join(f"  nothing.here{i}: 1\n" for i in range(MAX_PROBLEMS + 10)))) == MAX_PROBLEMS
        )

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            (b"", "1:1"),
            (b"\xff\xfe", "1:1"),
            (b"just text", "1:1"),
            (b"a: [1", "1:6"),
            (b"a: b: c", "1:5"),
            (b"a: &x 1\nb: *x", "1:4"),
            (b"a: &x [*x]", "1:4"),
            (b"a: !!python/object:os.system x", "1:4"),
            (b"1: one", "1:1"),
            (b"#" * (MAX_PACK_BYTES + 1), "1:1"),
        ],
    )
    def test_what_is_no_pack_at_all(self, text, where):
        assert problems(text)[0].startswith(f"pack.yaml:{where}: ")

    def test_two_packs_of_one_place(self, tmp_path):
        for name in ("a.yaml", "b.yaml"):
            (tmp_path / name).write_text(HEAD + DAYS)
        with pytest.raises(PackRefused, match=r"b\.yaml:1:1: a\.yaml already speaks for 610926000000"):
            PolicyBook.load(tmp_path)

    def test_a_folder_without_packs(self, tmp_path):
        with pytest.raises(PackRefused, match="no policy pack"):
            PolicyBook.load(tmp_path)

    @pytest.mark.parametrize(
        ("key", "old", "new", "reason"),
        [
            ("assessment.scheme", "weight: 30", "weight: 31", "add up to 101"),
            ("assessment.grades", "from_points: 80", "from_points: 95", "best first"),
            ("registry.identification", "checklist: need", "checklist: wish", "checklist wish, which is not there"),
            ("registry.identification", "key: town_review", "key: village_review", "occurs twice"),
            ("registry.identification", "quorum: true, checklist: exclusions", "days: 3", "other steps have none"),
            (
                "registry.identification",
                "actors: [town_office], checklist",
                "actors: [mayor], checklist",
                "county_admin",
            ),
            ("registry.identification", 'answer: "yes", test', "answer: yes, test", "'yes' or 'no'"),
            ("registry.review_quorum", "numerator: 2", "numerator: 4", "at most the whole"),
            ("registry.pathways", "scope: served", "scope: elsewhere", "not among the allowed scopes"),
            ("funds.incompatible_roles", "[apply, pay]", "[pay, pay]", "two different acts"),
            (
                "funds.incompatible_roles",
                "[approve, pay]",
                "[approve, review]",
                "nobody may do both of: approve and pay",
            ),
            ("funds.approval_chain", "{act: approve,", "{act: review,", "each act stands once"),
            ("funds.approval_chain", "{act: approve,", "{act: release,", "has an approve"),
            ("funds.approval_chain", "{act: pay,", "{act: release,", "ends with pay"),
            ("notify.report_due", 'at: "18:00"', "at: 18:00", "valid string"),
            ("notify.templates", "您${week}的工作进展报告（", "您的工作进展报告（", "different variables"),
            ("notify.templates", "${due}前报送", "${due前报送", "${name}"),
        ],
    )
    def test_composite_values_are_checked_inside(self, key, old, new, reason):
        text = (ROOT / "policies" / "pingli.yaml").read_text()
        assert old in text
        found = problems(text.replace(old, new, 1))
        assert any(f" parameters.{key}." in line and reason in line for line in found), found


class TestPingli:
    def test_every_known_parameter_has_a_value_in_the_month_of_the_demonstration(self, pingli):
        assert {key for key in SHAPES if pingli.value(key, VILLAGE, DAY) is not None} == set(SHAPES)

    def test_every_rule_it_names_exists(self, pingli):
        with (ROOT / "docs" / "rules.csv").open() as file:
            rules = {row["rule"] for row in csv.DictReader(file)}
        named = {rule for policy in pingli.list() for rule in RULE_ID.findall(policy.source + (policy.ours or ""))}
        assert named
        assert named <= rules

    def test_every_event_of_the_scheme_is_declared_and_heard_by_assessment(self, pingli):
        schemes = pingli.value("assessment.scheme", COUNTY, DAY)
        events = {event for scheme in schemes.values() for i in scheme["indicators"] for event in i["events"]}
        assert {event for event in events if "assessment" in REGISTRY[event].consumers} == events

    @pytest.mark.rule("REG-032")
    def test_the_catalogue_is_the_published_one(self, pingli):
        published = yaml.safe_load((ROOT / "data" / "published" / "pingli-2016.json").read_text())[
            "pingli_2016_pathways"
        ]
        catalogue = {p["key"]: p for p in pingli.value("registry.pathways", COUNTY, DAY)}
        assert list(catalogue) == list(published)
        for key, figures in published.items():
            ours = catalogue[key]
            assert (ours["name"], ours["scope"]) == (figures["name"], figures["scope"])
            assert [sub["name"] for sub in ours["subs"]] == list(figures.get("subs", {}))
            assert not ours["subs"] or ours["subs_disjoint"] == figures["subs_disjoint"]

    def test_what_is_not_wholly_from_a_source_says_so(self, pingli):
        assert all(p.ours is None for p in pingli.list("pingli", "ours") if p.basis == "ours")
        assert {p.basis for p in pingli.list("pingli")} == {"seed", "standard", "ours"}

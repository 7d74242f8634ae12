"""What Daohu is made of: every package by its hash, in the bill of materials, under a licence we may hand on."""

import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import licences, sbom
from tests.integration.composed import ROOT
from tests.servers import NotHere, keycloak
from tests.servers.kafka import DEPLOY, require_known

BILL = json.loads(sbom.SBOM.read_text())


@pytest.mark.parametrize("lock", [licences.RUNTIME, licences.EVERYTHING], ids=["image", "development"])
def test_every_package_of_a_lock_has_its_hashes(lock: Path):
    named = re.findall(r"^([a-z0-9._-]+)==", lock.read_text(), re.MULTILINE)
    assert [package.name for package in licences.packages(lock)] == sorted(named)


def test_a_package_without_a_hash_is_refused(tmp_path: Path):
    (tmp_path / "lock").write_text("one==1 \\\n    --hash=sha256:" + "0" * 64 + "\ntwo==2\n")
    with pytest.raises(ValueError, match="two has no hash"):
        licences.packages(tmp_path / "lock")


def test_nothing_is_installed_without_its_hash():
    """Wherever a package gets onto a machine: the Makefile's environment and the image."""
    for file in ("Makefile", "Dockerfile"):
        text = (ROOT / file).read_text().replace("\\\n", " ")
        from_outside = [line for line in text.splitlines() if "pip" in line and "-r " in line]
        assert from_outside
        assert all("--require-hashes" in line and "--only-binary :all:" in line for line in from_outside), file


def test_the_generated_files_are_those_of_the_locks():
    assert [path.name for path, text in sbom.contents().items() if path.read_text() != text] == []


def test_the_bill_of_materials_follows_cyclonedx():
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(sbom.SBOM.read_text()) is None
    assert validator.validate_str(sbom.SBOM.read_text().replace('"bom-ref"', '"bomref"')) is not None


def test_the_bill_names_every_package_of_the_image_with_its_hashes_and_every_image():
    found = {
        part["name"]: sorted(digest["content"] for each in part["externalReferences"] for digest in each["hashes"])
        for part in BILL["components"]
        if part["type"] == "library"
    }
    assert found == {package.name: sorted(package.hashes) for package in licences.packages(licences.RUNTIME)}
    images = {f"{part['name']}:{part['version']}" for part in BILL["components"] if part["type"] == "container"}
    assert images == set(sbom.images_named())
    assert {"postgres:15", "python:3.11-slim-bookworm"} < images


def test_what_we_ask_for_ourselves_is_what_we_depend_on():
    [ours] = [each["dependsOn"] for each in BILL["dependencies"] if each["ref"] == "daohu"]
    assert {"pkg:docker/postgres@15"} < set(ours)
    assert any(ref.startswith("pkg:pypi/fastapi@") for ref in ours)
    assert not any(ref.startswith("pkg:pypi/starlette@") for ref in ours), "that is FastAPI's"


@pytest.mark.parametrize("expression", ["MIT", "GPL-3.0-only OR MIT", "MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)"])
def test_a_licence_that_can_be_satisfied_is_allowed(expression: str):
    licences.require_allowed("x", expression)


@pytest.mark.parametrize("expression", ["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "SSPL-1.0"])
def test_a_licence_that_binds_others_is_refused(expression: str):
    with pytest.raises(licences.Unlicensed, match="not a licence we may hand on"):
        licences.require_allowed("x", expression)


def test_jars_that_are_not_the_known_ones_are_refused(tmp_path: Path):
    listed = [line.split() for line in (DEPLOY / "jars.sha256").read_text().splitlines()]
    assert len(listed) > 20
    for _, name in listed:
        (tmp_path / name).write_bytes(b"somebody else's")
    with pytest.raises(NotHere, match="Kafka's jars are not those"):
        require_known(tmp_path)


def test_a_keycloak_that_is_not_the_known_one_is_refused(tmp_path: Path):
    archive = tmp_path / f"keycloak-quarkus-dist-{keycloak.version()}.tar.gz"
    archive.write_bytes(b"somebody else's")
    with pytest.raises(NotHere, match="is not the archive of"):
        keycloak.require_known(archive)

"""`python -m deploy.sbom write|check`: what Daohu is made of (CycloneDX 1.6) and under which licences, from the locks.

docs/sbom.cdx.json holds what the image installs, with the hashes that pip insists on, and the images of docker-compose.yml; it has no
date and always the same number for the same contents, so that `check` can compare.
"""

import json
import re
import sys
import tomllib
import uuid
from importlib import metadata
from pathlib import Path

import yaml
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import licences
from deploy.licences import ROOT, Package

SBOM = ROOT / "docs" / "sbom.cdx.json"
IMAGE = {
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "extra": "",
}
"""What dependencies are read for: the Dockerfile's Python."""


def bill() -> Bom:
    """The bill of materials of the image and of the images beside it."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    house = Component(
        name=whole["name"], version=whole["version"], type=ComponentType.APPLICATION, bom_ref=whole["name"]
    )
    packages = licences.packages(licences.RUNTIME)
    parts = {package.name: _library(package) for package in packages}
    images = [_image(name) for name in images_named()]
    bom = Bom(components=[*parts.values(), *images])
    bom.metadata.component, bom.metadata.timestamp = house, None  # type: ignore[assignment]
    bom.register_dependency(house, [*(parts[name] for name in _needed(whole["dependencies"]) & parts.keys()), *images])
    for name, part in parts.items():
        wants = [] if name in licences.BY_HAND else metadata.requires(name) or []
        bom.register_dependency(part, [parts[wanted] for wanted in sorted(_needed(wants) & parts.keys())])
    made_of = "\n".join(sorted(str(part.purl) + ",".join(sorted(_hashes(part))) for part in bom.components))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, made_of)
    return bom


def images_named() -> list[str]:
    """The images that the Dockerfile and docker-compose.yml name, without ours."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    bases = re.findall(r"^ARG \w+=(\S+:\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return sorted({*bases, *(what["image"] for what in services if not what["image"].startswith("daohu:"))})


def _library(package: Package) -> Component:
    purl = PackageURL("pypi", name=package.name, version=package.version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(purl)),
        comment="one of the files with these hashes",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.hashes],
    )
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        licenses=[LicenseFactory().make_with_expression(licences.of(package.name))],
        external_references=[files],
    )


def _image(name: str) -> Component:
    path, _, version = name.rpartition(":")
    namespace, _, short = path.rpartition("/")
    purl = PackageURL("docker", namespace=namespace or None, name=short, version=version)
    return Component(name=path, version=version, type=ComponentType.CONTAINER, bom_ref=str(purl), purl=purl)


def _needed(requirements: list[str]) -> set[str]:
    wanted = map(Requirement, requirements)
    return {canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate(IMAGE)}


def _hashes(part: Component) -> list[str]:
    return [digest.content for reference in part.external_references for digest in reference.hashes]


def contents() -> dict[Path, str]:
    """The generated files. Raises licences.Unlicensed when something we install may not be handed on."""
    licensed = {package.name: licences.of(package.name) for package in licences.packages(licences.EVERYTHING)}
    for name, expression in licensed.items():
        licences.require_allowed(name, expression)
    return {
        SBOM: _a_line_each(JsonV1Dot6(bill()).output_as_string()),
        licences.PAGE: licences.page(licensed),
    }


def _a_line_each(text: str) -> str:
    """The same JSON with a line for each component and each dependency."""
    return (
        re.sub(r'(?=\{"(?:bom-ref|dependsOn|ref)")', "\n", json.dumps(json.loads(text), separators=(",", ":"))) + "\n"
    )


def main(words: list[str]) -> int:
    if words not in (["write"], ["check"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        wanted = contents()
    except licences.Unlicensed as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if words == ["write"]:
            path.write_text(wanted[path])
        else:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not what the locks make it; run `make sbom`\n")
    return 1 if stale and words == ["check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Hostile input (模糊测试) against a running house: routes, crossed requests, files, SMS replies. `make fuzz`; a share of it is a test."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))  # area_rule's modules name each other by it

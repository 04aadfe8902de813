"""The OpenAPI document beside the API: whatever is sent, no answer is undocumented; a 500 is documented nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from shops import open_shop

CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance"
WITH_BROKER = ("/v1/jobs/run", "/v1/schedules/{entry}/run")
"""Operations that wait for a broker, which does not run here."""

COVERAGE = pytest.param("coverage", marks=pytest.mark.long)
FUZZING = pytest.param("fuzzing", marks=[pytest.mark.chaos, pytest.mark.timeout(1_200)])


@pytest.mark.parametrize("phases", ["examples", COVERAGE, FUZZING])
def test_no_request_makes_an_undocumented_answer(tmp_path: Path, redis_url: str, phases: str) -> None:
    """Schemathesis sends what fits the document and what does not, to every operation, by a fixed seed."""
    with open_shop(tmp_path, redis_url) as shop:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{shop.http.base_url}/openapi.json"]
        command += ["--header", f"Authorization: {shop.http.headers['Authorization']}", "--checks", CHECKS]
        command += ["--phases", phases, "--max-examples", "100", "--seed", "1", "--suppress-health-check", "all"]
        command += [
            "--warnings",
            "off",
            "--no-color",
            *(word for path in WITH_BROKER for word in ("--exclude-path", path)),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]

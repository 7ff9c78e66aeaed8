"""`make gpu-check` on a CPU: every check passes, and only torch, transformers and pydantic are needed."""

import json
import os
import subprocess
import sys

ABSENT = {
    "snakemake",
    "datasets",
    "evaluate",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "peft",
    "matplotlib",
}
CODE = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {ABSENT} else find_spec(name, *rest)
import gpu_check
from steadytune.methods import registry
known = registry.methods
gpu_check.registry = type("Few", (), {{
    "methods": lambda: [name for name in known() if name in ("vanilla", "hype-n", "lora", "top-k")],
    "parse": registry.parse,
}})
# What is timed runs in processes of its own, which take their time to start; one of each kind is run here instead.
def trainings(of):
    for name in ("ours", "plain"):
        gpu_check._Way(of, "rte", name, of.shape)()
    return "both"
gpu_check.MEASURES = (trainings, gpu_check.measure_energy)
sys.exit(gpu_check.main())
"""


def test_dry_run_passes_without_other_packages(root, tmp_path):
    paths = os.pathsep.join(map(str, (root / "benchmarks", root / "src")))
    command = [sys.executable, "-c", CODE, "--dry", "--json", str(tmp_path / "found.json")]
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {result["name"]: result for result in json.loads((tmp_path / "found.json").read_text())["results"]}
    assert found["measure energy"]["outcome"] == "left out"
    assert found["trainings"]["outcome"] == "measured"
    assert found["check methods"]["detail"].startswith("3 methods; left out: lora (peft is not installed)")
    checks = {name: result["outcome"] for name, result in found.items() if name.startswith("check")}
    assert len(checks) == 6
    assert set(checks.values()) == {"ok"}, checks

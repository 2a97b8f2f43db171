"""Runs the core of the tests, and some steps of the quickstart, with other versions of Python and of the libraries.

python tests/versions.py oldest newest           makes an environment for each, in a temporary folder, with uv
python tests/versions.py oldest --python PATH    runs in an environment that is there, with this package installed in it

Keeps results/versions.json, and docs/versions.md, its table. CI runs neither: it would take another torch for each.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "results" / "versions.json"
PAGE = ROOT / "docs" / "versions.md"

LOWEST = [
    "transformers==5.5.4", "accelerate==1.7.0", "numpy==1.26.4", "scikit-learn==1.5.0", "scipy==1.13.0", "datasets==4.0.0",
    "huggingface_hub==1.5.0", "matplotlib==3.9.0", "rich==13.9.4", "pillow==10.3.0", "pyarrow==21.0.0",
]  # fmt: skip
# Name -> Python, and the packages whose version is chosen; pip has the others.
COMBINATIONS = {
    "oldest": ("3.10", ["torch==2.6.0", *LOWEST]),
    "oldest-libraries": ("3.11", ["torch==2.13.0", *LOWEST]),
    "middle": ("3.12", ["torch==2.9.1", "transformers==5.10.4"]),
    "newest": ("3.13", ["torch==2.15.0", "transformers==5.24.0"]),
}
# Gradients, accumulation, two processes, embeddings, metrics, data, the command line, the Hub.
CORE = [
    *("tests/training", "tests/mixing", "tests/calibration", "tests/metrics", "tests/data", "tests/test_cli.py"),
    *("tests/test_recipe.py", "tests/test_arguments.py", "tests/release/test_push.py"),
]
TOLD = ("torch", "transformers", "accelerate", "datasets", "huggingface_hub", "numpy", "scipy", "scikit-learn")
QUICKSTART = ["compare", "quickstart", "--seeds", "0", "--max_steps", "4", "--max_train_samples", "400"]

HEADER = """# Versions

`pyproject.toml` accepts transformers 5.5.4 to below 6, torch 2.6 to below 3, Python 3.10 and later. Written by
`python tests/versions.py` from what it ran; do not edit. The core is the tests of gradients, accumulation, two processes,
embeddings, metrics, data, the command line and the Hub; the quickstart trains each arm for 4 steps and writes its report. The
whole suite runs in CI with torch 2.13.0 and the newest of the rest.

"""
FOOTER = """
**Not accepted.** transformers 5.2 to 5.5.3 divide the loss of an accumulated step twice; `import nlp_mixup.training` refuses
them by name. A later one that did so would be refused at the first step of a training. 5.0, 5.1 and 4.57 lack methods that the
trainer takes hold of (a trial for 5.0 and 4.57 needed 329 lines), and 4.51 never trains the last partial step. accelerate 1.6 shuffles anew
where a run is resumed within its second epoch or a later one.

**The same seed, other numbers.** RoBERTa and ModernBERT draw their first weights in another order in other versions of
transformers: a seed repeats a run of theirs within one version alone.

**Less with older ones.** datasets below 4.8 hashes a tokenizer with the traces of its calls, so rows may be tokenised again;
scikit-learn below 1.8 has no temperature scaling to compare with; torch 2.6 compiles no step and has no FSDP2 on the CPU.
"""


def run(python: Path, name: str) -> dict:
    """What the core and the quickstart did with this interpreter."""
    asked = (
        f"import sys, importlib.metadata as m; print('.'.join(map(str, sys.version_info[:3])), *map(m.version, {TOLD}))"
    )
    answer = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True, cwd="/").stdout.split()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        core = [path for path in CORE if Path(ROOT, path).exists()]
        command = [
            python,
            "-m",
            "pytest",
            "-n",
            "2",
            "--dist",
            "loadfile",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *core,
        ]
        subprocess.run(command, cwd=ROOT, env=environment)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
        outcomes = {
            tag: [case for case in cases if case.find(tag) is not None] for tag in ("failure", "error", "skipped")
        }
        failed = sorted(
            f"{case.get('classname')}::{case.get('name')}" for case in outcomes["failure"] + outcomes["error"]
        )
        trained = subprocess.run(
            [python, "-m", "nlp_mixup", *QUICKSTART, "--output_dir", "runs"], cwd=folder, env=environment
        )
        written = Path(folder, "runs", "report.md").is_file()
    passed = len(cases) - len(outcomes["skipped"]) - len(failed)
    return {
        "name": name, "date": datetime.date.today().isoformat(), "python": answer[0],
        "versions": dict(zip(TOLD, answer[1:], strict=True)), "passed": passed,
        "skipped": len(outcomes["skipped"]), "failed": failed, "quickstart": trained.returncode == 0 and written,
    }  # fmt: skip


def make(name: str, folder: Path) -> Path:
    """The interpreter of a new environment."""
    number, packages = COMBINATIONS[name]
    python = folder / name / "bin" / "python"
    subprocess.run(["uv", "venv", "-q", "--python", number, folder / name], check=True)
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, *packages, "-e", f"{ROOT}[test]"], check=True)
    return python


def page(records: list[dict]) -> str:
    """docs/versions.md."""
    lines = [
        f"| | Python | {' | '.join(TOLD)} | core: passed, skipped, failed | quickstart |",
        "|---" * (len(TOLD) + 4) + "|",
    ]
    for record in records:
        core = f"{record['passed']}, {record['skipped']}, {len(record['failed'])}"
        versions = " | ".join(record["versions"][name] for name in TOLD)
        quickstart = "runs" if record["quickstart"] else "**fails**"
        lines.append(f"| {record['name']} | {record['python']} | {versions} | {core} | {quickstart} |")
    failed = [f"- {record['name']}: `{test}`" for record in records for test in record["failed"]]
    return HEADER + "\n".join(lines) + "\n" + ("\nFailed:\n\n" + "\n".join(failed) + "\n" if failed else "") + FOOTER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", choices=[*COMBINATIONS, []], help="combinations to run; none writes the page alone"
    )
    parser.add_argument("--python", type=Path, help="interpreter of an environment that is there, for one combination")
    options = parser.parse_args()
    if options.python and len(options.names) != 1:
        sys.exit("--python PATH is for one combination.")
    records = {record["name"]: record for record in json.loads(RECORD.read_text())} if RECORD.exists() else {}
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            records[name] = run(options.python or make(name, Path(folder)), name)
        RECORD.write_text(json.dumps([records[name] for name in COMBINATIONS if name in records], indent=1) + "\n")
    PAGE.write_text(page(json.loads(RECORD.read_text())))


if __name__ == "__main__":
    main()

"""The architecture, held by machine: who imports whom, and what each package does without."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / ".importlinter"
IMPORTS_VLLM = re.compile(r"^(from|import) vllm\b", re.MULTILINE)
PACKAGES = ("cosup", "training", "index_builder", "service", "evaluation", "semiparametric")


def contract_ids() -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(CONTRACTS, "utf-8")
    prefix = "importlinter:contract:"
    return [section.removeprefix(prefix) for section in parser.sections() if section.startswith(prefix)]


def run_python(code: str, *, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("contract", contract_ids())
def test_the_code_keeps_the_contract(
    contract: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT)
    status = lint_imports(config_filename=str(CONTRACTS), limit_to_contracts=(contract,), no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("package", "line", "broken"),
    [
        ("semiparametric", "import cosup", "Three floors"),
        ("semiparametric", "import service", "Three floors"),
        ("service", "import training", "Three floors"),
        ("index_builder", "import service", "Three floors"),
        ("training", "import faiss", "training needs neither FAISS"),
        ("training", "def late():\n    import fastapi", "training needs neither FAISS"),
        ("service", "import accelerate", "service needs no training library"),
        ("semiparametric", "import peft", "semiparametric needs no"),
        ("evaluation", "import training", "evaluation asks service"),
        ("evaluation", "import service.decoding", "evaluation asks service"),
        ("evaluation", "import service.schemas", "evaluation asks service"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(package: str, line: str, broken: str, tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"{line}\n" if name == package else "", "utf-8")
    code = f"from importlinter.cli import lint_imports as l; raise SystemExit(l({str(CONTRACTS)!r}, no_cache=True))"
    linted = run_python(code, cwd=tmp_path)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    verdicts = [text for text in linted.stdout.splitlines() if text.endswith("BROKEN")]
    assert len(verdicts) == 1
    assert verdicts[0].startswith(broken)


def modules_that_import_vllm() -> list[str]:
    """Modules of the service that need vLLM, which is not where it is not installed, as names."""
    found = [path for path in (ROOT / "service").rglob("*.py") if IMPORTS_VLLM.search(path.read_text("utf-8"))]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found)


def test_vllm_is_imported_by_nothing_but_the_two_sides_of_its_engine() -> None:
    assert modules_that_import_vllm() == [
        f"service.engines.vllm.{name}" for name in ("engine", "models", "session", "worker")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "absent"),
    [("training", ("faiss", "fastapi")), ("service", ("accelerate", "peft")), ("semiparametric.pair", ("faiss",))],
)
def test_every_module_of_a_package_imports_without_the_libraries_it_must_not_need(
    package: str, absent: tuple[str, ...]
) -> None:
    code = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({absent!r}))  # a None there makes every import of the name fail
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
    if module.name not in {modules_that_import_vllm()!r}:
        importlib.import_module(module.name)
"""
    imported = run_python(code)
    assert imported.returncode == 0, imported.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["index", "build", "--help"],
        ["train", "--help"],
        ["serve", "--help"],
        ["experiment", "--help"],
        ["eval", "run", "--help"],
        ["pair", "import", "--help"],
        ["examples", "mine", "--help"],
    ],
)
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    code = f"""
import sys
from cosup.cli import main
sys.argv = ["cosup", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({{"torch", "faiss", "fastapi", "transformers", "pyarrow", "numpy"}} & sys.modules.keys())
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    shown = run_python(code)
    assert shown.returncode == 0, shown.stderr
    assert "Usage" in shown.stdout

"""What the modules of the package import, read from their files."""

import ast
import importlib.util
import pkgutil
from pathlib import Path

import nlp_mixup
import nlp_mixup.vision

ROOT = Path(nlp_mixup.__file__).parent
VISION = Path(nlp_mixup.vision.__file__).parent  # beside the package in the repository, inside it once installed
MODULES = sorted(
    {
        module.name
        for folder, prefix in ((ROOT, "nlp_mixup."), (VISION, "nlp_mixup.vision."))
        for module in pkgutil.walk_packages([str(folder)], prefix)
        if not module.name.endswith("__main__") and ".metrics." not in module.name
    }
)
PACKAGES = {
    "nlp_mixup.vision",
    *(name for name in MODULES if (importlib.util.find_spec(name).submodule_search_locations)),
}


def imports_of(path):
    """Every imported module of a file, relative ones spelled out."""
    package = ("nlp_mixup", *path.relative_to(ROOT).parts[:-1]) if ROOT in path.parents else ("nlp_mixup", "vision")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            whole = [
                f"{module}.{alias.name}" for alias in node.names if f"{module}.{alias.name}" in (*MODULES, *PACKAGES)
            ]
            yield from whole or [module]

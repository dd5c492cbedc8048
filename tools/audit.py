"""Write what an environment holds: its packages as an SBOM, their licenses, and their known holes (``make audit``).

Run it with the Python of an environment that has the packages of ``tools/audit.txt``::

    python tools/audit.py PYTHON FOLDER

PYTHON is that of the environment that is looked at, FOLDER gets ``sbom.json`` (CycloneDX), ``licenses.md`` and, where
the network is there, ``vulnerabilities.json`` (pip-audit). The exit code is 1 where a known hole was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["known_holes", "main", "pins_of"]

OWN = "mmif-amin"  # no index has it


def pins_of(sbom: dict) -> list[str]:
    """Requirements, such as ``numpy==2.4.6``, of all packages in an SBOM but our own.

    Example:
        >>> pins_of({"components": [{"name": "numpy", "version": "2.4.6"}, {"name": "mmif-amin", "version": "1.0.0"}]})
        ['numpy==2.4.6']
    """
    components = [(part["name"], part["version"]) for part in sbom["components"] if part["name"] != OWN]
    return sorted(f"{name}=={version.partition('+')[0]}" for name, version in components)  # torch is 2.9.0+cpu


def known_holes(report: dict) -> list[str]:
    """One line for each known hole in pip-audit's report.

    Example:
        >>> hole = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
        >>> known_holes({"dependencies": [{"name": "x", "version": "1.0", "vulns": [hole]}, {"name": "y"}]})
        ['x 1.0: PYSEC-1, mended in 1.1']
    """
    return [
        f"{part['name']} {part['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for part in report["dependencies"]
        for hole in part.get("vulns", [])
    ]


def _tool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)


def main(python: str, folder: str) -> int:
    """Write the three files; returns the exit code."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    sbom, licenses, holes = out / "sbom.json", out / "licenses.md", out / "vulnerabilities.json"
    for words in (
        ("cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", "-o", str(sbom), python),
        ("piplicenses", f"--python={python}", "--format=markdown", "--with-urls", f"--output-file={licenses}"),
    ):
        done = _tool(*words)
        if done.returncode:
            print(f"{words[0]} ended with exit code {done.returncode}:\n{done.stderr}", file=sys.stderr)
            return done.returncode
    packages = json.loads(sbom.read_text(encoding="utf-8"))
    asked = out / "packages.txt"
    asked.write_text("\n".join(pins_of(packages)) + "\n", encoding="utf-8")
    print(f"{len(packages['components'])} packages: {sbom}\ntheir licenses: {licenses}")
    for service in ("pypi", "osv"):
        holes.unlink(missing_ok=True)
        words = ("--disable-pip", "--no-deps", "--format=json", f"--vulnerability-service={service}")
        _tool("pip_audit", *words, f"--output={holes}", f"--requirement={asked}")
        report = json.loads(holes.read_text(encoding="utf-8")) if holes.is_file() else {"dependencies": []}
        skipped = sum("skip_reason" in part for part in report["dependencies"])
        if skipped < len(report["dependencies"]):
            found = known_holes(report)
            print(f"known holes: {len(found)}, packages that {service} does not know: {skipped}; see {holes}")
            print("".join(f"  {line}\n" for line in found), end="")
            return 1 if found else 0
    holes.unlink(missing_ok=True)
    print("known holes: NOT LOOKED FOR, because no database of them could be reached. Ask again with a network.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

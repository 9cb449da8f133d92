"""Say which images the lab needs, and what each is made from.

The tree on disk -> recipes. The wheelhouse of the swarm image is fetched on the host, because builds reach Debian's
mirror only; its content is pinned by hash in images/swarm-requirements.lock.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from dashboards import live
from orchestrator.containers.images import Recipe
from orchestrator.errors import BadInput, BuildFailed, EnvironmentMissing
from orchestrator.model import Variant

HOME = Path(__file__).resolve().parents[2]  # the clone: images/, swarm/ and orchestrator/ lie here
IMAGES = HOME / "images"

# trixie's Python, and the platform tags pip needs spelled out when it downloads for another interpreter
_PYTHON = "3.13"
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_MANYLINUX = ("_2_28", "_2_17")


def service_recipes(architecture: str, prometheus_yml: str, cache: Path) -> dict[str, Recipe]:
    """Return the recipes of what the lab itself runs: swarm, exporter, prometheus.

    architecture: as the engine names it. cache: a folder that keeps the downloaded wheels.
    """
    lock = IMAGES / "swarm-requirements.lock"
    return {
        "swarm": Recipe(
            "swarm",
            IMAGES / "swarm.Dockerfile",
            {
                "swarm": HOME / "swarm",
                "contract": HOME / "orchestrator" / "contract",
                "swarm-requirements.lock": lock,
                "web/plotly.min.js": chart_library(),
                "web/panels.json": live.text().encode(),
            },
            bulky=lambda: {"wheelhouse": _wheelhouse(lock, architecture, cache)},
        ),
        "exporter": Recipe(
            "exporter", IMAGES / "exporter.Dockerfile", {"exporter": HOME / "orchestrator" / "observe" / "exporter"}
        ),
        "prometheus": Recipe(
            "prometheus", IMAGES / "prometheus.Dockerfile", {"prometheus.yml": prometheus_yml.encode()}
        ),
    }


def grafana_recipe(official: str, image_id: str, files: Mapping[str, bytes]) -> Recipe:
    """Return the recipe of the lab's own Grafana: an official image, and what it is provisioned with.

    image_id: what its name means now, so that another image of that name makes another one of ours.
    """
    arguments = {"GRAFANA": official, "GRAFANA_ID": image_id}
    return Recipe("grafana", IMAGES / "grafana.Dockerfile", dict(files), arguments=arguments)


def variant_recipes(variants: Iterable[Variant]) -> dict[str, Recipe]:
    """Return the recipes of the servers and of the toolchains their runtimes name. Keys: variant or toolchain-X.

    Existing images have none, nor have second names. Raises BuildFailed for a runtime that there is not, BadInput for
    packages that it does not take.
    """
    recipes: dict[str, Recipe] = {}
    for variant in variants:
        if variant.image or variant.same_as:
            continue
        dockerfile = IMAGES / f"runtime-{variant.runtime}.Dockerfile"
        if not dockerfile.is_file():
            known = sorted(p.stem.removeprefix("runtime-").split(".")[0] for p in IMAGES.glob("runtime-*.Dockerfile"))
            raise BuildFailed(
                f"{variant.name}: runtime '{variant.runtime}' has no {dockerfile}; known: {', '.join(known)}"
            )
        context: dict[str, Path | bytes] = {**_sources(variant), "health": IMAGES / "health"}
        toolchain = IMAGES / f"toolchain-{variant.runtime}.Dockerfile"
        shared = HOME / "servers" / f"_shared-{variant.runtime}"
        if shared.is_dir():
            context["shared"] = shared
        if toolchain.is_file():
            name = f"toolchain-{variant.runtime}"
            recipes[name] = Recipe(name, toolchain, {})
        recipes[variant.name] = Recipe(
            variant.name,
            dockerfile,
            context,
            toolchain=f"toolchain-{variant.runtime}" if toolchain.is_file() else None,
            arguments=_packages(variant, dockerfile),
        )
    return recipes


def _sources(variant: Variant) -> dict[str, Path]:
    """Return what of a variant's folder goes into its image: all but what only people and the lab read."""
    left_out = {"README.md", "variant.toml", *([variant.seccomp.name] if variant.seccomp is not None else [])}
    return {p.name: p for p in sorted(variant.folder.iterdir()) if p.name not in left_out}


def _packages(variant: Variant, dockerfile: Path) -> dict[str, str]:
    """Return the build argument that names a variant's packages; none for none, so that its image stays the same."""
    if not variant.packages:
        return {}
    if not re.search(r"^ARG PACKAGES\b", dockerfile.read_text(), re.MULTILINE):
        raise BadInput(
            f"{variant.folder / 'variant.toml'} packages: runtime '{variant.runtime}' takes none; remove the key, or "
            f"install them in {dockerfile} after a line 'ARG PACKAGES'"
        )
    return {"PACKAGES": " ".join(variant.packages)}


def chart_library() -> Path:
    """Return Plotly's JavaScript, which its Python package carries: pinned by the lock file like the rest."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise EnvironmentMissing("swarm image: the package plotly is not installed. Try: make .venv/.run")
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


def _wheelhouse(lock: Path, architecture: str, cache: Path) -> Path:
    """Return a folder with the locked wheels for the image's Python, downloading them once per lock file."""
    machine = _ARCHITECTURES.get(architecture)
    if machine is None:
        raise EnvironmentMissing(
            f"swarm image: no wheels are known for a '{architecture}' engine; known: x86_64, aarch64"
        )
    folder = cache / f"wheelhouse-{machine}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    marker = folder.with_suffix(".complete")
    if not marker.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--require-hashes"]
        command += ["--no-deps", "--python-version", _PYTHON, "--implementation", "cp"]
        command += ["--abi", "cp313", "--abi", "abi3", "--abi", "none"]
        command += ["-d", str(folder), "-r", str(lock)]
        for tag in _MANYLINUX:
            command += ["--platform", f"manylinux{tag}_{machine}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        if done.returncode != 0:
            last = [line for line in done.stderr.splitlines() if line.strip()][-5:]
            raise EnvironmentMissing(
                "swarm image: pip could not download its wheels from PyPI: "
                + " / ".join(last)
                + ". Check the network (pip download locust), then try again."
            )
        marker.touch()
    return folder


def describe(references: Mapping[str, str]) -> dict[str, str]:
    """Return recipe name -> digest, for the host facts of a run."""
    return {name: ref.rsplit(":", 1)[1][:12] for name, ref in sorted(references.items())}

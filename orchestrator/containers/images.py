"""Build images from recipes, addressed by their content.

A recipe's tag is a digest of everything that goes into it (Dockerfile, context, build arguments, its parents' tags),
so an unchanged source finds its image, a changed one cannot find an old image, and a failed build leaves no tag.
Builds use the classic endpoint, which every engine from 20.10 on offers.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import docker
import requests
from docker.errors import APIError, ImageNotFound

from orchestrator.containers.engine import Say, apt_install
from orchestrator.containers.labels import KIND
from orchestrator.errors import BuildFailed, EnvironmentMissing
from orchestrator.model import Variant

BASE = "netpoll-lab/base:trixie"
_PULLED = "debian:trixie-slim"
_SUITE = "trixie"
_BUILDS_AT_ONCE = 3  # they wait for mirrors as much as they compute
# Python's caches, what make built on the host, the fuzzer's corpus: they change without the image changing.
_LEFT_OUT = frozenset({"__pycache__", "build", "fuzz"})
_LOG_LINES = 25  # how much of a failed build's log is shown


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one image is made from."""

    name: str  # the image becomes netpoll-lab/<name>:<digest>
    dockerfile: Path
    context: Mapping[str, Path | bytes]  # path in the context -> a file, a folder, or bytes
    toolchain: str | None = None  # the name of another recipe, given to the Dockerfile as TOOLCHAIN
    bulky: Callable[[], Mapping[str, Path]] | None = field(default=None)
    # fetched only when the image is built; not part of the digest, so it must be pinned by what is
    arguments: Mapping[str, str] = field(default_factory=dict)  # build arguments besides BASE and TOOLCHAIN


def ensure_base(client: docker.DockerClient, say: Say) -> str:
    """Return the id of the base image, pulling or making it first where it is absent."""
    try:
        return str(client.images.get(BASE).id)
    except ImageNotFound:
        pass
    try:
        say(f"pulling {_PULLED}")
        repository, tag = _PULLED.split(":")
        image = client.images.pull(repository, tag)
        image.tag(*BASE.split(":"))
    except (APIError, requests.RequestException):
        say(f"no registry answers: making {BASE} from Debian's mirror with mmdebstrap")
        _make_base(client)
    return str(client.images.get(BASE).id)


def find_existing(client: docker.DockerClient, variants: Iterable[Variant]) -> dict[str, str]:
    """Return the id of each variant's existing image: what its tag means now stays the same for a whole run.

    Variants that are built here have none. Raises EnvironmentMissing for an image that this engine does not have.
    """
    found: dict[str, str] = {}
    for variant in variants:
        if not variant.image:
            continue
        try:
            found[variant.name] = str(client.images.get(variant.image).id)
        except ImageNotFound:
            raise EnvironmentMissing(
                f"{variant.name}: this engine has no image {variant.image}. Try: docker pull {variant.image}, "
                "or docker load, or docker images for what there is"
            ) from None
    return found


def missing(client: docker.DockerClient, recipes: Mapping[str, Recipe], base_id: str) -> list[str]:
    """Return the names of the recipes whose image is absent, toolchains first: the order they are built in."""
    absent = [n for n, recipe in recipes.items() if not _exists(client, reference(recipe, recipes, base_id))]
    toolchains = {r.toolchain for r in recipes.values()}
    return sorted(absent, key=lambda name: (name not in toolchains, absent.index(name)))


def build(
    client: docker.DockerClient,
    recipes: Mapping[str, Recipe],
    base_id: str,
    names: Sequence[str],
    *,
    finished: Callable[[str, float], None],
) -> dict[str, str]:
    """Build these images, toolchains first, the rest side by side; return every recipe's name -> image reference.

    names: as `missing` gave them. finished(name, seconds) is called from this thread as each one ends.
    Raises BuildFailed with the end of the log; images already finished stay.
    """
    references = {name: reference(recipe, recipes, base_id) for name, recipe in recipes.items()}
    toolchains = {r.toolchain for r in recipes.values()}

    def make(name: str) -> tuple[str, float]:
        began_s = time.monotonic()
        recipe = recipes[name]
        arguments = {"BASE": BASE, **recipe.arguments}
        if recipe.toolchain:
            arguments["TOOLCHAIN"] = references[recipe.toolchain]
        _build(client, recipe, references[name], arguments)
        return name, time.monotonic() - began_s

    for stage in ([n for n in names if n in toolchains], [n for n in names if n not in toolchains]):
        with ThreadPoolExecutor(max_workers=_BUILDS_AT_ONCE) as pool:
            try:
                for done in as_completed([pool.submit(make, name) for name in stage]):
                    finished(*done.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return references


def reference(recipe: Recipe, recipes: Mapping[str, Recipe], base_id: str) -> str:
    """Return netpoll-lab/<name>:<digest of all it is made from>."""
    digest = hashlib.sha256(f"{base_id}\n{recipe.dockerfile.read_text()}\n".encode())
    if recipe.toolchain:
        digest.update(reference(recipes[recipe.toolchain], recipes, base_id).encode())
    for name, value in sorted(recipe.arguments.items()):  # none: images built before there were any are still found
        digest.update(f"{name}={value}\0".encode())
    for path, content, mode in _files(recipe.context):
        digest.update(f"{path}\0{mode:o}\0{len(content)}\0".encode())
        digest.update(content)
    return f"netpoll-lab/{recipe.name}:{digest.hexdigest()[:12]}"


def _exists(client: docker.DockerClient, ref: str) -> bool:
    try:
        client.images.get(ref)
    except ImageNotFound:
        return False
    return True


def _build(client: docker.DockerClient, recipe: Recipe, ref: str, arguments: Mapping[str, str]) -> None:
    log: list[str] = []
    with tempfile.TemporaryFile() as context:
        _write_context(context, recipe)
        context.seek(0)
        try:
            for event in client.api.build(
                fileobj=context,
                custom_context=True,
                dockerfile="Dockerfile",
                tag=ref,
                buildargs=dict(arguments),
                labels={KIND: recipe.name},
                rm=True,
                forcerm=True,
                decode=True,
            ):
                log.extend(str(event.get("stream") or event.get("error") or "").splitlines())
                if "error" in event:
                    raise BuildFailed(_failure(recipe, log))
        except APIError as error:
            raise BuildFailed(_failure(recipe, [*log, str(error.explanation or error)])) from error
    if not _exists(client, ref):
        raise BuildFailed(_failure(recipe, [*log, "the build ended without an error and without an image"]))


def _failure(recipe: Recipe, log: list[str]) -> str:
    shown = "\n".join(f"    {line}" for line in [line for line in log if line.strip()][-_LOG_LINES:])
    return f"image {recipe.name}: the build of {recipe.dockerfile} failed; the end of its log:\n{shown}"


def _write_context(output: io.BufferedIOBase | tempfile._TemporaryFileWrapper[bytes], recipe: Recipe) -> None:
    """Write the tar archive of the context; times and owners are fixed, so that the engine's layer cache holds."""
    with tarfile.open(fileobj=output, mode="w") as archive:
        entries = [("Dockerfile", recipe.dockerfile.read_bytes(), 0o644), *_files(recipe.context)]
        for path, content, mode in entries:
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
        for path, folder in (recipe.bulky() if recipe.bulky else {}).items():
            for file in sorted(folder.iterdir()):
                info = tarfile.TarInfo(f"{path}/{file.name}")
                info.size, info.mode = file.stat().st_size, 0o644
                with file.open("rb") as data:
                    archive.addfile(info, data)


def _files(context: Mapping[str, Path | bytes]) -> list[tuple[str, bytes, int]]:
    """Return (path, content, mode) of every file of a context, sorted; without what no image needs (_LEFT_OUT)."""
    found: list[tuple[str, bytes, int]] = []
    for name, source in context.items():
        if isinstance(source, bytes):
            found.append((name, source, 0o644))
        elif source.is_dir():
            for file in source.rglob("*"):
                inside = file.relative_to(source)
                if file.is_file() and not _LEFT_OUT.intersection(inside.parts):
                    found.append((f"{name}/{inside}".removeprefix("./"), file.read_bytes(), _mode(file)))
        else:
            found.append((name, source.read_bytes(), _mode(source)))
    return sorted(found)


def _mode(file: Path) -> int:
    return 0o755 if file.stat().st_mode & 0o100 else 0o644


def _make_base(client: docker.DockerClient) -> None:
    """Bootstrap Debian into a tar archive and import it under our name."""
    if shutil.which("mmdebstrap") is None:
        try:
            apt_install(["mmdebstrap"])
        except (EnvironmentMissing, OSError) as error:
            raise EnvironmentMissing(
                f"{_PULLED} cannot be pulled and mmdebstrap is not installed ({error}). "
                "Install it (sudo apt-get install mmdebstrap) or make a registry reachable, then try again."
            ) from error
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder) / "base.tar"
        command = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", _SUITE, str(tar)]
        done = subprocess.run(
            [*command, "http://deb.debian.org/debian"], capture_output=True, text=True, check=False, timeout=900
        )
        if done.returncode != 0:
            raise BuildFailed(
                f"image base: '{' '.join(command)}' ended with {done.returncode}; the end of its words:\n"
                + "\n".join(f"    {line}" for line in done.stderr.splitlines()[-_LOG_LINES:])
            )
        repository, tag = BASE.split(":")
        client.api.import_image_from_file(str(tar), repository=repository, tag=tag, changes=[f'LABEL {KIND}="base"'])

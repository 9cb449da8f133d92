"""Have an image for the lab's own Grafana, and say how its container is run.

The official image is taken where the engine has it or can pull it; nothing of Grafana is built here.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from orchestrator.containers.engine import Say
from orchestrator.containers.launch import Spec
from orchestrator.errors import EnvironmentMissing
from orchestrator.model import Grafana

PORT = 3000  # inside; Grafana's own default
ROLE = "grafana"
ADMIN = "admin"
_USER = "472:0"  # the official image's own: its files belong to that user and to root's group
_AGAIN_S = 3600.0  # a registry that did not answer is asked again after this long; on some networks it takes a minute
_SETTINGS = {
    "GF_AUTH_ANONYMOUS_ENABLED": "true",  # on 127.0.0.1 alone: whoever can open it may look, and no more
    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
    "GF_SECURITY_ADMIN_USER": ADMIN,
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": "/etc/netpoll-lab/dashboards/netpoll-lab-compare.json",
    "GF_DASHBOARDS_MIN_REFRESH_INTERVAL": "1s",
    "GF_LOG_MODE": "console",
    # A lab talks to nobody outside, and must come up where there is no outside.
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_SECURITY_DISABLE_GRAVATAR": "true",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Found:
    """An official image, or why there is none."""

    image_id: str  # "" where there is none
    missing: str = ""


def find_official(client: docker.DockerClient, grafana: Grafana, state: Path, say: Say) -> Found:
    """Return the image that lab.yaml names, pulling it where it is absent.

    state: where a pull that failed is remembered for an hour, so that every `lab up` of a lab without a registry does
    not wait for it. Raises EnvironmentMissing where lab.yaml insists (`use: image`).
    """
    with contextlib.suppress(ImageNotFound):
        return Found(str(client.images.get(grafana.image).id))
    memory = state / "grafana-pull.json"
    why = _remembered(memory, grafana.image) if grafana.use == "auto" else ""
    if not why:
        say(f"pulling {grafana.image}")
        try:
            repository, tag = _split(grafana.image)
            return Found(str(client.images.pull(repository, tag).id))
        except (DockerException, requests.RequestException) as error:
            why = _brief(error)
        _remember(memory, grafana.image, why)
    text = (
        f"this engine has no image {grafana.image} and cannot pull it ({why}). "
        "Try: docker load, grafana.url in lab.yaml for a Grafana elsewhere, or grafana: off"
    )
    if grafana.use == "image":
        raise EnvironmentMissing(f"grafana: {text}")
    return Found("", text)


def read_password(state: Path) -> str:
    """Return the administrator's password of the lab's own Grafana, made on the first call; only the owner may read it.

    Raises EnvironmentMissing where it cannot be kept.
    """
    path = state / "grafana-password"
    try:
        with contextlib.suppress(FileNotFoundError):
            if known := path.read_text().strip():
                return known
        state.mkdir(parents=True, exist_ok=True)
        made = secrets.token_urlsafe(24)
        fresh = state / f"grafana-password.{os.getpid()}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made + "\n")
        fresh.replace(path)
    except OSError as error:
        why = f"{path}: cannot keep Grafana's password: {error.strerror}. Try: ls -ld {state}"
        raise EnvironmentMissing(why) from None
    return made


def grafana_spec(prefix: str, image: str, network: str, port: int, cpus: str, password: str, volume: str) -> Spec:
    """Return the container. prefix: of its name. port: on 127.0.0.1. volume: for its database while the lab stands."""
    return Spec(
        role=ROLE,
        name=f"{prefix}-{ROLE}",
        image=image,
        network=network,
        alias=ROLE,
        ports={PORT: port},
        cpus=cpus,
        user=_USER,
        environment={**_SETTINGS, "GF_SECURITY_ADMIN_PASSWORD": password},
        volumes={volume: "/var/lib/grafana:rw"},
        tmpfs={"/tmp": "size=64m", "/var/log/grafana": "size=16m,mode=1777"},
    )


def _split(image: str) -> tuple[str, str | None]:
    """Return repository and tag as the engine's SDK takes them; a digest stays with the repository."""
    if "@" in image:
        return image, None
    head, colon, tag = image.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (image, "latest")


def _remembered(memory: Path, image: str) -> str:
    try:
        told = json.loads(memory.read_text())
        is_recent = 0 <= time.time() - float(told["at_s"]) < _AGAIN_S
        return str(told["why"]) if told["image"] == image and is_recent else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remember(memory: Path, image: str, why: str) -> None:
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({"image": image, "at_s": time.time(), "why": why}))


def _brief(error: Exception) -> str:
    text = str(error.explanation) if isinstance(error, APIError) and error.explanation else str(error)
    return " ".join(text.split())[:160]

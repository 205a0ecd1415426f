"""What the deployment files run: each container and unit as the same value, whatever file it is written in."""

from __future__ import annotations

import configparser
import shlex
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tests.deploy.dockerfile import ROOT, Dockerfile

COMPOSE = ROOT / "compose.yaml"
KUBERNETES = ROOT / "deploy" / "kubernetes"
SYSTEMD = ROOT / "deploy" / "systemd"

Yaml = dict[str, Any]


class Check(NamedTuple):
    """How it is asked whether it is well: by a command, or by the path and port of an HTTP address."""

    kind: str
    command: tuple[str, ...] = ()
    path: str = ""
    port: int = 0


class Deployed(NamedTuple):
    """One process that a file runs: `command` is whole, the image's entry point included."""

    where: str
    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    checks: tuple[Check, ...]
    ports: tuple[int, ...]


@cache
def compose() -> Yaml:
    """The compose file, its anchors resolved."""
    found: Yaml = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


@cache
def kubernetes() -> tuple[Yaml, ...]:
    """Every object of the manifests that the kustomization lists, in its order."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    texts = [(KUBERNETES / name).read_text(encoding="utf-8") for name in listed]
    return tuple(document for text in texts for document in yaml.safe_load_all(text))


@cache
def units() -> dict[str, configparser.ConfigParser]:
    """Every systemd unit by the file's name; a directive that is repeated has its values on lines of their own."""
    found = {}
    for path in sorted(SYSTEMD.glob("*.service")):
        lines: list[str] = []
        seen: dict[str, int] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.partition("=")
            if line.startswith("["):
                seen = {}
            if equals and name in seen and not line.startswith("#"):
                lines[seen[name]] += f"\n  {value}"
            else:
                seen[name] = len(lines)
                lines.append(line)
        unit = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",))
        # Names of directives are written with capitals.
        unit.optionxform = str  # type: ignore[assignment,method-assign] # as configparser's manual has it
        unit.read_string("\n".join(lines))
        found[path.name] = unit
    return found


def deployed() -> list[Deployed]:
    """Every process of every file."""
    return [*_of_compose(), *_of_kubernetes(), *_of_systemd()]


def pod_of(thing: Yaml) -> Yaml | None:
    """The pod that a Kubernetes object makes, None for one that makes none."""
    template = thing.get("spec", {}).get("template") if thing["kind"] in {"Deployment", "StatefulSet"} else None
    return None if template is None else template["spec"]


def _of_compose() -> list[Deployed]:
    found = []
    for name, service in compose()["services"].items():
        ours = service["image"].startswith("ibdesk")
        image = Dockerfile()
        check = tuple(service["healthcheck"]["test"][1:])
        found.append(
            Deployed(
                "compose.yaml",
                name,
                (*(image.entrypoint if ours else ()), *service["command"]),
                (image.environment if ours else {}) | service.get("environment", {}),
                (Check("healthcheck", command=check),),
                tuple(int(port.rpartition(":")[2]) for port in service.get("ports", ())),
            )
        )
    return found


def _of_kubernetes() -> list[Deployed]:
    settings: dict[str, Yaml] = {}
    for thing in kubernetes():
        if thing["kind"] == "ConfigMap":
            settings[thing["metadata"]["name"]] = thing["data"]
    found = []
    for thing in kubernetes():
        pod = pod_of(thing)
        for container in () if pod is None else pod["containers"]:
            ours = container["image"] == "ibdesk"
            image = Dockerfile()
            environment = dict(image.environment) if ours else {}
            for source in container.get("envFrom", ()):
                environment |= settings[source["configMapRef"]["name"]]
            environment |= {variable["name"]: variable["value"] for variable in container.get("env", ())}
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
            checks = [
                _probe(kind, container[kind], ports)
                for kind in ("startupProbe", "livenessProbe", "readinessProbe")
                if kind in container
            ]
            found.append(
                Deployed(
                    f"kubernetes {thing['kind']}",
                    container["name"],
                    (*(image.entrypoint if ours else ()), *container["args"]),
                    environment,
                    tuple(checks),
                    tuple(ports.values()),
                )
            )
    return found


def _probe(kind: str, probe: Yaml, ports: dict[str, int]) -> Check:
    if "exec" in probe:
        return Check(kind, command=tuple(probe["exec"]["command"]))
    if "httpGet" in probe:
        return Check(kind, path=probe["httpGet"]["path"], port=ports[probe["httpGet"]["port"]])
    return Check(kind, port=ports[probe["tcpSocket"]["port"]])


def _of_systemd() -> list[Deployed]:
    found = []
    for name, unit in units().items():
        service = unit["Service"]
        words = [word for line in service.get("Environment", "").splitlines() for word in shlex.split(line)]
        command = shlex.split(service["ExecStart"])
        found.append(
            Deployed(
                f"systemd {name}",
                name.removeprefix("ibdesk-").removesuffix(".service"),
                (Path(command[0]).name, *command[1:]),
                dict(word.split("=", 1) for word in words),
                (),
                (),
            )
        )
    return found

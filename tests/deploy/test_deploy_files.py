"""Compose file, Kubernetes manifests and systemd units: of the right shape, small in rights, and never live money."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.deploy.manifests import COMPOSE, KUBERNETES, SYSTEMD, Yaml, compose, deployed, kubernetes, pod_of, units

pytestmark = pytest.mark.timeout(300)
CHECK_JSONSCHEMA = Path(sys.executable).parent / "check-jsonschema"
PROCESSES = {"gateway", "engine", "guardian", "web", "dashboard"}
KNOWN = {"compose.yaml", "kustomization.yaml"}
EXPOSURE = 2.0


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)


def identified(things: tuple[Yaml, ...]) -> list[object]:
    return [pytest.param(thing, id=f"{thing['kind']}-{thing['metadata']['name']}") for thing in things]


# ---- compose ------------------------------------------------------------------------------------------------------


def test_the_compose_file_is_as_its_specification_has_it() -> None:
    checked = run(CHECK_JSONSCHEMA, "--builtin-schema", "vendor.compose-spec", COMPOSE)

    assert checked.returncode == 0, checked.stdout


def test_every_container_is_read_only_without_rights_and_bounded() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert "privileged" not in service, name
        assert not any("docker.sock" in volume for volume in service.get("volumes", ())), name


def test_only_loopback_is_published_and_the_desk_has_no_way_out() -> None:
    services = compose()["services"]

    published = [port for service in services.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert {name for name, service in services.items() if service.get("ports")} == {"web", "dashboard"}
    assert compose()["networks"]["desk"]["internal"] is True
    assert {name for name, service in services.items() if "door" in service["networks"]} == {"web", "dashboard"}


def test_the_guardian_is_probed_under_the_mode_in_which_it_runs() -> None:
    """A socket that another mode has left would answer for it, or halve the time that it has for an answer."""
    [settings] = [thing for thing in kubernetes() if thing["kind"] == "ConfigMap"]
    [guardian] = [thing for thing in kubernetes() if thing["metadata"]["name"] == "guardian"]
    [container] = guardian["spec"]["template"]["spec"]["containers"]
    probed = {container[f"{kind}Probe"]["exec"]["command"][-1] for kind in ("startup", "liveness", "readiness")}

    assert probed == {f"guardian:/var/lib/ibdesk/guardian-{settings['data']['IBDESK_MODE']}.sock"}


def test_what_waits_waits_for_the_health_of_what_it_needs() -> None:
    waits = {
        name: {needed: how["condition"] for needed, how in service.get("depends_on", {}).items()}
        for name, service in compose()["services"].items()
    }

    healthy = "service_healthy"
    assert waits == {
        "gateway": {},
        "redis": {},
        "engine": {"gateway": healthy, "redis": healthy},
        "guardian": {"gateway": healthy, "engine": healthy},
        "web": {"engine": healthy, "redis": healthy},
        "dashboard": {"web": healthy},
    }


def test_all_that_is_named_is_declared() -> None:
    services = compose()["services"].values()

    for kind in ("networks", "secrets"):
        assert {name for service in services for name in service.get(kind, ())} == set(compose()[kind])
    volumes = {volume.partition(":")[0] for service in services for volume in service.get("volumes", ())}
    assert volumes == set(compose()["volumes"])


def test_secrets_come_as_files_and_make_secrets_makes_them(tmp_path: Path) -> None:
    made = run(sys.executable, ROOT / "deploy" / "make_secrets.py", tmp_path / "secrets")
    again = run(sys.executable, ROOT / "deploy" / "make_secrets.py", tmp_path / "secrets")

    files = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    # The viewer's key is made by the engine that is to know it.
    assert files - {"viewer_key"} == {path.name for path in (tmp_path / "secrets").iterdir()}
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert made.stdout.count("made ") == len(files) - 1
    assert again.stdout == ""
    for one in deployed():
        for name, text in one.environment.items():
            assert not any(word in name for word in ("PASSWORD", "SECRET", "TOKEN")), (one.where, name)
            if name.endswith(("URL_FILE", "KEY_FILE")):
                assert text.startswith("/run/secrets/"), (one.where, name)


# ---- kubernetes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", identified(kubernetes()))
def test_a_manifest_is_as_the_newest_schema_has_it(thing: Yaml) -> None:
    # It builds grammars for four seconds when it is loaded, which no other test should wait for.
    import kubernetes_validate  # type: ignore[import-untyped] # it ships no types

    kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)


def test_every_manifest_is_listed() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]

    assert sorted(listed) == sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name not in KNOWN)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_puts_them_together_in_one_namespace() -> None:
    built = run("kubectl", "kustomize", KUBERNETES)

    things = [thing for thing in yaml.safe_load_all(built.stdout) if thing["kind"] != "Namespace"]
    assert built.returncode == 0, built.stderr
    assert {thing["metadata"]["namespace"] for thing in things} == {"ibdesk"}
    images = {
        container["image"] for thing in things for container in (pod_of(thing) or {"containers": ()})["containers"]
    }
    assert f"ibdesk:{Dockerfile().labels['org.opencontainers.image.version']}" in images


@pytest.mark.parametrize("thing", identified(tuple(thing for thing in kubernetes() if pod_of(thing))))
def test_a_pod_passes_the_restricted_standard(thing: Yaml) -> None:
    pod = pod_of(thing)
    assert pod is not None

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} == set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


def test_every_pod_is_in_a_policy_and_nobody_may_anything_by_default() -> None:
    policies = [thing for thing in kubernetes() if thing["kind"] == "NetworkPolicy"]
    pods = {thing["metadata"]["name"] for thing in kubernetes() if pod_of(thing)}

    [nobody] = [policy for policy in policies if policy["metadata"]["name"] == "nobody"]
    assert nobody["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    entered = {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for policy in policies
        if policy["spec"].get("ingress")
    }
    assert entered == pods - {"engine", "guardian"}


def test_selectors_services_and_scalers_find_their_pods() -> None:
    labels = {
        thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["labels"]
        for thing in kubernetes()
        if pod_of(thing)
    }

    for thing in kubernetes():
        spec = thing.get("spec", {})
        if thing["kind"] == "Service":
            wanted = spec["selector"]["app.kubernetes.io/component"]
            ports = {port["name"] for one in deployed() if one.name == wanted for port in _ports_of(wanted)}
            assert wanted in labels
            assert {port["targetPort"] for port in spec["ports"]} <= ports
        elif thing["kind"] in {"PodDisruptionBudget", "Deployment", "StatefulSet"}:
            assert spec["selector"]["matchLabels"].items() <= labels[thing["metadata"]["name"]].items()
        elif thing["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] in labels


def _ports_of(name: str) -> list[Yaml]:
    [pod] = [pod_of(thing) for thing in kubernetes() if pod_of(thing) and thing["metadata"]["name"] == name]
    return [port for container in (pod or {})["containers"] for port in container.get("ports", ())]


def test_secrets_are_references_and_every_pod_gets_no_more_than_it_needs() -> None:
    assert not any(thing["kind"] == "Secret" for thing in kubernetes())
    for thing in kubernetes():
        for volume in (pod_of(thing) or {}).get("volumes", ()):
            if "secret" in volume:
                assert volume["secret"]["items"], thing["metadata"]["name"]


# ---- systemd ------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units as they are, with the program where this environment has it."""
    program = Path(sys.executable).parent / "ibdesk"
    paths = []
    for path in sorted(SYSTEMD.glob("*.service")):
        paths.append(tmp_path / path.name)
        paths[-1].write_text(path.read_text().replace("/opt/ibdesk/bin/ibdesk", str(program)))
    return paths


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@needs_systemd
def test_systemd_understands_every_line_of_the_units(installed: list[Path]) -> None:
    verified = run("systemd-analyze", "verify", "--man=no", *installed)

    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_the_units_hardly_exposed(installed: list[Path]) -> None:
    for path in installed:
        judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", path)

        exposure = float(judged.stdout.rpartition("exposure level for ")[2].split()[1])
        assert exposure <= EXPOSURE, judged.stdout


def test_a_unit_comes_back_by_itself_and_ends_in_bounded_time() -> None:
    for name, unit in units().items():
        assert unit["Service"]["Restart"] == "always", name
        assert unit["Service"]["User"] == "ibdesk", name
        assert 10 <= int(unit["Service"]["TimeoutStopSec"]) <= 60, name


# ---- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["compose.yaml", "kubernetes", "systemd"])
def test_each_way_runs_the_same_processes(where: str) -> None:
    assert {one.name for one in deployed() if one.where.startswith(where)} >= PROCESSES


def test_none_of_them_reaches_live_money() -> None:
    for one in deployed():
        assert one.environment.get("IBDESK_MODE", "paper") == "paper", one.where
        assert "IBDESK_TWS__ACCOUNT" not in one.environment, one.where
        assert not any("live" in word for word in one.command), one.where
    assert "paper" in {one.environment.get("IBDESK_MODE") for one in deployed() if one.name == "engine"}
    assert "7496" not in json.dumps(compose())

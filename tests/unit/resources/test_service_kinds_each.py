"""What only one of the kinds of shares, database instances and pods has."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from refloat.cloud.authority import SessionCloud
from refloat.errors import CloudError, Conflict, InvalidInput, NotFound
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.discovery import Discovery
from refloat.resources.base import PROJECT
from refloat.resources.database import DATABASE as DATABASES
from refloat.resources.pod import PODS, cluster
from refloat.resources.pod.protectable import identity_of
from refloat.resources.share import SHARE as SHARES
from tests.fullstack.hookrig import Run
from tests.unit.doubles import kubernetes, openstack, trove
from tests.unit.doubles.cases import DatabaseCase, PodCase
from tests.unit.doubles.world import DATABASE, POD, SHARE, VOLUME, World


@pytest.mark.parametrize("status", ["error", "error_deleting", "deleting", "extending_error", "manage_error"])
def test_a_share_in_a_state_that_is_none(world: World, status: str) -> None:
    identity = world.manila.make_share("files", b"", status=status)
    found = SHARES.protectable(world.cloud())
    with pytest.raises(Conflict, match=f"its status is '{status}'"):
        found.show(identity)
    assert found.list() == []
    if "deleting" not in status:
        (node,) = found.dependants(Resource(PROJECT, openstack.PROJECT))
        assert f"its status is '{status}'" in str(found.unfit(node, Graph()))


def test_a_share_that_could_not_be_restored_is_refused_at_once(world: World) -> None:
    identity = world.manila.make_share("files", b"", create_share_from_snapshot_support=False)
    with pytest.raises(Conflict, match="of type 'dummy' cannot be made from snapshots"):
        world.rig().protect(Resource(SHARE, identity, "files"))
    assert world.manila.snapshots == {}


def test_a_snapshot_of_a_share_that_is_busy_can_be_forced(world: World) -> None:
    """As with Karbor, whose word for that Refloat refused."""
    identity = world.manila.make_share("files", b"", status="extending")
    rig = world.rig()
    rig.settings = {SHARE: {"force": True, "snapshot_name": "{name} now"}}
    rig.protect(Resource(SHARE, identity, "files"))
    (snapshot,) = world.manila.snapshots.values()
    assert (snapshot["name"], snapshot["share_id"]) == ("files now", identity)
    assert world.manila.shares[identity]["status"] == "extending"


def test_a_public_share_comes_back_private_and_that_is_said(world: World) -> None:
    identity = world.manila.make_share("files", b"", is_public=True)
    rig = world.rig()
    rig.protect(Resource(SHARE, identity, "files"))
    planned = rig.plan().planned[ResourceKey(SHARE, identity)]
    assert planned.conflicts == ("only administrators make a share public: the new one is private",)
    rig.restore()
    assert [share["is_public"] for share in world.manila.shares.values()] == [True, False]


def test_the_quota_of_shares_is_looked_at_beforehand(world: World) -> None:
    identity = world.manila.make_share("files", b"")
    rig = world.rig()
    rig.protect(Resource(SHARE, identity, "files"))
    world.manila.limits["maxTotalShares"] = 1
    assert rig.plan().problems == ("it needs 1 share, and the project's quota leaves 0",)


@pytest.mark.parametrize("status", ["ERROR", "SHUTDOWN"])
def test_an_instance_in_a_state_that_is_none(world: World, status: str) -> None:
    identity = world.trove.make_instance("orders", {}, status=status)
    found = DATABASES.protectable(world.cloud())
    assert found.list() == []
    with pytest.raises(Conflict, match=f"its status is '{status}'"):
        found.show(identity)


def test_an_instance_that_is_being_built_is_waited_for(world: World) -> None:
    identity = world.trove.make_instance("orders", {}, status="BUILD")
    rig = world.rig()
    rig.protect(Resource(DATABASE, identity, "orders"))
    assert [backup["status"] for backup in world.trove.backups.values()] == ["COMPLETED"]


def test_backups_that_others_built_on_are_not_deleted_with_theirs(world: World) -> None:
    identity = world.trove.make_instance("orders", {})
    rig = world.rig()
    rig.protect(Resource(DATABASE, identity, "orders"))
    (kept,) = world.trove.backups
    world.trove.backups["b2"] = {**world.trove.backups[kept], "id": "b2", "name": "mine", "parent_id": kept}
    with pytest.raises(Conflict, match=r"Trove would delete them as well: b2 \(mine\)"):
        Run(rig, "delete", rig.graph, {}).all()
    assert len(world.trove.backups) == 2


def test_a_lost_flavor_and_network_of_an_instance_are_said_and_can_be_chosen(world: World) -> None:
    case = DatabaseCase(world)
    resource, rig = case.make(), world.rig()
    rig.protect(resource)
    world.trove.flavors[:] = [{"id": "d4", "name": "medium"}]
    world.trove.configurations.clear()
    case.lose()
    assert "there is no flavor d2 for databases; choose with restore_flavor_id" in rig.plan().problems[0]
    chosen = {DATABASE: {"restore_flavor_id": "d4", "restore_network_id": "net-9"}}
    plan = rig.plan(chosen)
    assert plan.problems == ()
    assert "the datastore's own settings are used" in plan.planned[resource.key].conflicts[0]
    rig.restore(plan)
    (made,) = [item for item in world.trove.instances.values() if item["status"] != "SHUTDOWN"]
    assert (made["flavor"]["id"], made["addresses"][0]["network"]) == ("d4", "net-9")
    assert trove.FLAVOR == "d2"


def test_a_pod_is_known_by_its_name_and_reused_by_its_uid(world: World) -> None:
    case = PodCase(world)
    resource, rig = case.make(), world.rig()
    found = PODS.protectable(rig.cloud)
    assert found.find("shop:web") == resource
    assert found.show(resource.id).extra == {"volumes": [case.volume, case.inline]}
    assert resource.id == str(uuid.uuid5(uuid.NAMESPACE_OID, "shop:web"))
    rig.protect(found.show(resource.id))
    assert sorted(node.type for node in rig.graph) == [VOLUME, VOLUME, POD]
    assert rig.plan().planned[resource.key].action == "reuse"
    world.kubernetes.pods["web"]["metadata"]["uid"] = "another"
    assert "another pod is called shop:web by now" in rig.plan().problems[0]


@pytest.mark.parametrize("phase", ["Pending", "Failed", "Unknown"])
def test_pods_that_do_not_run(world: World, phase: str) -> None:
    made = world.kubernetes.put("pods", "web", {"containers": []})
    made["status"]["phase"] = phase
    with pytest.raises(Conflict, match=f"its phase is '{phase}'"):
        PODS.protectable(world.cloud()).show(identity_of("shop", "web"))


def test_a_pod_whose_claim_is_gone_and_not_restored_is_impossible(world: World) -> None:
    case = PodCase(world)
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(POD).show(resource.id))
    case.lose()
    del world.kubernetes.objects["persistentvolumeclaims"]["logs"]
    assert "it claims logs, which is not there" in rig.plan().problems[0]


def test_two_pods_that_share_a_claim_share_the_restored_one(world: World) -> None:
    case = PodCase(world)
    case.make()
    spec = json.loads(json.dumps(world.kubernetes.pods["web"]["spec"]))
    world.kubernetes.put("pods", "worker", spec)["status"]["phase"] = "Running"
    rig = world.rig()
    found = PODS.protectable(rig.cloud)
    rig.protect(*found.list())
    case.lose()
    rig.restore()
    assert sorted(world.kubernetes.pods) == ["web", "worker"]
    assert sorted(world.kubernetes.objects["persistentvolumeclaims"]) == ["data", "logs"]
    assert len(world.kubernetes.objects["persistentvolumes"]) == 2


def test_a_pod_that_cannot_start_fails_with_kubernetes_words(world: World) -> None:
    case = PodCase(world)
    resource, rig = case.make(), world.rig()
    rig.protect(Discovery(rig.cloud).of_type(POD).show(resource.id))
    case.lose()
    waiting = {"reason": "CreateContainerConfigError", "message": 'configmap "web-settings" not found'}
    put = world.kubernetes.put

    def stuck(plural: str, name: str, spec: Any, **metadata: Any) -> Any:
        made = put(plural, name, spec, **metadata)
        if plural == "pods":
            made["status"]["phase"] = "Waiting"
            made["status"]["containerStatuses"] = [{"state": {"waiting": waiting}}]
        return made

    world.kubernetes.put = stuck  # type: ignore[method-assign]
    assert "ConfigMap web-settings" in rig.plan().planned[resource.key].conflicts[0]
    with pytest.raises(CloudError, match='configmap "web-settings" not found'):
        rig.restore()


def test_one_kubeconfig_for_all_is_not_used_for_many_projects(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PodCase(world).make()
    cloud = world.cloud()
    session: Any = cloud.connection.session
    asking = SessionCloud(session.auth, openstack.PROJECT, region="One")
    assert PODS.protectable(asking).list() == []
    with pytest.raises(NotFound, match=r"REFLOAT_KUBECONFIG is without \{project\}, and this service"):
        PODS.protectable(asking).show("any")
    monkeypatch.setenv(cluster.VARIABLE, str(tmp_path / "{project}.conf"))
    with pytest.raises(NotFound, match=f"there is no kubeconfig .*{openstack.PROJECT}.conf"):
        PODS.protectable(asking).show("any")
    world.kubernetes.kubeconfig(tmp_path / f"{openstack.PROJECT}.conf")
    assert [pod.name for pod in PODS.protectable(asking).list()] == ["shop:web"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "cannot be used"), ("{}", "cannot be used"), (None, "cannot be read"), ("a: [", "cannot be used")],
)
def test_a_kubeconfig_that_is_none(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
) -> None:
    path = tmp_path / "wrong"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(cluster.VARIABLE, str(path))
    with pytest.raises(InvalidInput, match=said):
        PODS.protectable(world.cloud()).list()


def test_credentials_that_the_cluster_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "TOKEN", "another")
    with pytest.raises(CloudError, match="refuses the credentials of the kubeconfig: Unauthorized"):
        PODS.protectable(world.cloud()).list()


def test_a_cluster_that_is_not_there(world: World) -> None:
    world.kubernetes.close()
    with pytest.raises(CloudError, match="could not list the pods: the Kubernetes cluster cannot be reached"):
        PODS.protectable(world.cloud()).list()


def test_the_hooks_of_a_wait_end(world: World) -> None:
    """A share whose making fails ends the restore, and is removed with it."""
    identity = world.manila.make_share("files", b"")
    rig = world.rig()
    rig.protect(Resource(SHARE, identity, "files"))
    plan = rig.plan()
    run = Run(rig, "restore", plan.graph, plan.planned)
    rig.journal.kept.clear()
    make = world.manila.make_share
    world.manila.make_share = (  # type: ignore[method-assign]
        lambda *args, **fields: make(*args, **{**fields, "status": "error"})
    )
    with pytest.raises(CloudError, match="its status became 'error'"):
        run.all()
    rig.undo(run.operation_id)
    assert list(world.manila.shares) == [identity]

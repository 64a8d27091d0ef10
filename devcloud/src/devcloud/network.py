"""The settings of OVS and OVN, and the world outside of the cloud."""

from __future__ import annotations

from pathlib import Path

from devcloud import shell
from devcloud.cloud import ADDRESS, FAKE_HOSTNAME, HOSTNAME, OUTSIDE, OUTSIDE_LINK, Cloud
from devcloud.namespaces import link_exists
from devcloud.services import OVN_SB

INTEGRATION_BRIDGE = "br-int"
PUBLIC_BRIDGE = "br-ex"


def settings(cloud: Cloud) -> None:
    """What the chassis says about itself."""
    external_ids = {
        "system-id": "devcloud",
        "hostname": HOSTNAME,
        "ovn-remote": f"unix:{OVN_SB}",
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": ADDRESS,
        "ovn-bridge": INTEGRATION_BRIDGE,
        # the userspace datapath: no kernel module is needed
        "ovn-bridge-datapath-type": "netdev",
        "ovn-bridge-mappings": f"public:{PUBLIC_BRIDGE}",
        "ovn-cms-options": "enable-chassis-as-gw",
        "ovn-monitor-all": "true",
    }
    pairs = [f'external_ids:{name}="{value}"' for name, value in external_ids.items()]
    shell.run(["ovs-vsctl", "--timeout=10", "--no-wait", "init"])
    shell.run(["ovs-vsctl", "--timeout=10", "--no-wait", "set", "Open_vSwitch", ".", *pairs])


def bridges(cloud: Cloud) -> None:
    """The integration bridge and the one of the public network."""
    own = ("datapath_type=netdev", "other-config:disable-in-band=true")
    shell.run(
        ["ovs-vsctl", "--timeout=20",
         "--may-exist", "add-br", INTEGRATION_BRIDGE, "--",
         "set", "bridge", INTEGRATION_BRIDGE, "fail-mode=secure", *own, "--",
         "--may-exist", "add-br", PUBLIC_BRIDGE, "--", "set", "bridge", PUBLIC_BRIDGE, *own]
    )  # fmt: skip


def fake_chassis(cloud: Cloud) -> None:
    """A chassis that nothing runs on: Neutron binds to it the ports of servers that are records only."""
    command = ("ovn-sbctl", "--timeout=10", f"--db=unix:{OVN_SB}")
    columns = (*command, "--bare", "--columns=_uuid", "find")
    if shell.run([*columns, "Chassis", f"name={FAKE_HOSTNAME}"]).stdout.strip():
        return
    shell.run(
        [*command, "chassis-add", FAKE_HOSTNAME, "geneve", "127.0.0.2", "--",
         "set", "Chassis", FAKE_HOSTNAME, f"hostname={FAKE_HOSTNAME}"]
    )  # fmt: skip
    chassis = shell.run([*columns, "Chassis", f"name={FAKE_HOSTNAME}"]).stdout.strip()
    # it has done whatever it will be asked to do, and so counts as alive
    shell.run(
        [*command, "create", "Chassis_Private", f"name={FAKE_HOSTNAME}", f"chassis={chassis}",
         "nb_cfg=1000000000"]
    )  # fmt: skip


def outside(cloud: Cloud) -> None:
    """A network namespace on the public network, as its gateway: floating addresses are reached from it."""
    peer = f"{OUTSIDE_LINK}-p"
    in_outside = ("ip", "netns", "exec", OUTSIDE)
    address = f"{cloud.options.offer.gateway}/{cloud.options.offer.cidr.split('/')[1]}"
    if not Path("/run/netns", OUTSIDE).exists():
        shell.run(["ip", "netns", "add", OUTSIDE])
    if not link_exists(OUTSIDE_LINK):
        shell.run(["ip", "link", "add", OUTSIDE_LINK, "type", "veth", "peer", "name", peer, "netns", OUTSIDE])
        shell.run([*in_outside, "ip", "link", "set", "lo", "up"])
        shell.run([*in_outside, "ip", "addr", "add", address, "dev", peer])
        shell.run([*in_outside, "ip", "link", "set", peer, "up"])
        shell.run(["ip", "link", "set", OUTSIDE_LINK, "up"])
        # nothing completes offloaded checksums in the userspace datapath
        shell.run([*in_outside, "ethtool", "-K", peer, "tx", "off"], check=False)
        shell.run(["ethtool", "-K", OUTSIDE_LINK, "tx", "off"], check=False)
    shell.run(["ovs-vsctl", "--timeout=20", "--may-exist", "add-port", PUBLIC_BRIDGE, OUTSIDE_LINK])

"""What an operator can set: the options of the service, their defaults and their meaning."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from oslo_config import cfg

from refloat.cloud import targets
from refloat.control.settings import Settings
from refloat.errors import InvalidInput
from refloat.notify import messaging as notifier
from refloat.notify.events import ALL
from refloat.notify.webhooks import Webhook
from refloat.records.quotas import DEFAULTS
from refloat.schedule.scheduled_operations import Terms
from refloat.schedule.timetable import Limits

LOGGING = [
    cfg.BoolOpt(
        "use_json",
        default=False,
        help="Log JSON, a line each, as oslo.log does; context has the ids of request, operation, project "
        "and resource.",
    ),
]
"""Options of the group DEFAULT."""

DATABASE = cfg.OptGroup("database", "Where plans, checkpoints and operations are remembered.")
BANK = cfg.OptGroup("bank", "The bank of providers that have none of their own.")
PROVIDERS = cfg.OptGroup("providers", "Providers that files define.")
API = cfg.OptGroup("api", "The REST API.")
OPERATIONS = cfg.OptGroup("operations", "What the workers do.")
SCHEDULES = cfg.OptGroup("schedules", "Triggers, scheduled operations and retention.")
RESTORE = cfg.OptGroup("restore", "Restoring into other projects and clouds.")
NOTIFICATIONS = cfg.OptGroup(
    "notifications",
    "What is told of operations and schedules. OpenStack's notifications are sent when "
    "[oslo_messaging_notifications] names a driver, and need refloat[notifications].",
)
METRICS = cfg.OptGroup("metrics", "Metrics for Prometheus, of each process. Needs refloat[metrics].")
QUOTA = cfg.OptGroup("quota", "How much a project may have, when nothing else is set for it.")

OPTIONS: dict[cfg.OptGroup, list[cfg.Opt]] = {
    DATABASE: [
        cfg.StrOpt(
            "connection",
            secret=True,
            help="SQLAlchemy URL: sqlite:////path or postgresql://user:password@host/name. "
            "Default: REFLOAT_DATABASE_URL, else a file in the user's state folder.",
        ),
    ],
    BANK: [
        cfg.StrOpt("url", help="A folder or URL. Default: REFLOAT_BANK, else in the user's data folder."),
        cfg.StrOpt("key_file", help="The file with the key. Default: REFLOAT_BANK_KEY."),
    ],
    PROVIDERS: [
        cfg.StrOpt("folder", help="The folder of provider files (*.conf). Default: REFLOAT_PROVIDERS."),
        cfg.BoolOpt(
            "noop",
            help="Whether there is the provider 'noop', which protects made-up resources and keeps nothing: "
            "for trying out and measuring. Default: REFLOAT_NOOP, else no.",
        ),
    ],
    API: [
        cfg.StrOpt(
            "auth_strategy",
            default="keystone",
            choices=[
                ("keystone", "tokens are validated by keystonemiddleware: see [keystone_authtoken]"),
                ("noauth", "the token USER:PROJECT is believed, as an administrator's: only for trying out"),
            ],
            help="How callers are known.",
        ),
        cfg.StrOpt(
            "admin_project_name",
            default="admin",
            help="The project whose administrators are those of this service, unless Keystone says that "
            "it is not its admin project.",
        ),
        cfg.StrOpt(
            "admin_project_domain_name",
            default="Default",
            help="The name of the admin project's domain.",
        ),
        cfg.HostAddressOpt("host", default="127.0.0.1", help="Where refloat api and serve listen."),
        cfg.PortOpt("port", default=8799, help="The port they listen on."),
        cfg.IntOpt("threads", default=8, min=1, help="So many requests are answered at once."),
        cfg.IntOpt(
            "project_requests",
            min=0,
            help="So many requests of one project each process of the API answers at once; those beyond are "
            "answered with 429 and Retry-After. 0: no limit. Default: three quarters of threads.",
        ),
        cfg.IntOpt("max_limit", default=1000, min=1, help="The most items in one page of a list."),
        cfg.IntOpt("service_down_time", default=60, min=1, help="A worker is down after so many seconds."),
    ],
    OPERATIONS: [
        cfg.StrOpt(
            "authority",
            default="trust",
            choices=[
                ("trust", "a Keystone trust from the caller to the user of [trustee]"),
                ("cloud", "one entry of clouds.yaml: for places with one project"),
            ],
            help="What operations act with in the cloud.",
        ),
        cfg.ListOpt(
            "trust_roles",
            default=["member"],
            help="A trust passes on those of these roles that the caller has. Who has none of them can have "
            "nothing done. The role admin is never passed on.",
        ),
        cfg.StrOpt("cloud", help="The entry of clouds.yaml of the authority 'cloud'. Default: OS_CLOUD."),
        cfg.StrOpt("region", help="The region to work in, where there are several."),
        cfg.StrOpt(
            "worker_name",
            help="What the worker is called in the list of services. Default: the host's name. "
            "A second worker of that name on a host gets @2 at the end, and so on.",
        ),
        cfg.IntOpt("at_once", default=8, min=1, help="So many operations run in one worker at once."),
        cfg.IntOpt(
            "per_project",
            min=0,
            help="So many operations of a project run at once, over all workers; 0: no limit. "
            "Default: half of what all workers that are up can run.",
        ),
        cfg.DictOpt(
            "project_limits",
            default={},
            help="PROJECT_ID:NUMBER, ...: the same for some projects, in the place of per_project.",
        ),
        cfg.DictOpt(
            "project_weights",
            default={},
            help="PROJECT_ID:NUMBER, ...: so many turns these projects have where others have one.",
        ),
        cfg.DictOpt(
            "priorities",
            default={"restore": "1"},
            help="KIND:NUMBER, ...: within a project, what has the highest number begins first, then what is "
            "oldest. KIND is protect, restore, verify, copy or delete; the number of 'scheduled' is added "
            "for what schedules ask for.",
        ),
        cfg.DictOpt(
            "limits",
            default={},
            help="SERVICE:NUMBER, ...: so many hooks of one worker use a service at once. "
            "Default: nova:8, cinder:8, glance:2, neutron:8, bank:2.",
        ),
        cfg.IntOpt(
            "max_resources",
            default=5000,
            min=0,
            help="A protection of more resources fails before it begins; 0: no limit.",
        ),
        cfg.IntOpt(
            "drain_time",
            default=60,
            min=1,
            help="When a worker is told to stop, hooks that run have so many seconds to end. "
            "Another worker goes on with their operations.",
        ),
        cfg.IntOpt(
            "trust_days",
            default=30,
            min=1,
            help="A trust that nobody could delete ends by itself after so many days. "
            "An operation that takes longer fails.",
        ),
    ],
    RESTORE: [
        cfg.DictOpt(
            "allowed_targets",
            default={},
            help="Where restore_target may lead: NAME:URL, ... of identity services. One with a group "
            "[target_NAME], which has the service's user there as in [trustee], is another cloud's; one "
            "without is the service's own identity service, as users know it.",
        ),
        cfg.BoolOpt(
            "approval",
            default=False,
            help="Restore plans are run only when somebody else than who made them has approved them.",
        ),
        cfg.DictOpt("regions", default={}, help="NAME:REGION, ...: where to work in a target with several."),
    ],
    SCHEDULES: [
        cfg.IntOpt(
            "min_interval", default=3600, min=60, help="The shortest time between two firings, in seconds."
        ),
        cfg.IntOpt("min_window_time", default=900, min=1, help="The shortest window, in seconds."),
        cfg.IntOpt(
            "max_window_time",
            default=1800,
            min=1,
            help="The longest window, in seconds; at most half of min_interval.",
        ),
        cfg.IntOpt(
            "minimum_retention",
            default=0,
            min=0,
            help="Nobody but administrators can delete a checkpoint younger than so many hours.",
        ),
        cfg.IntOpt(
            "trust_days",
            default=400,
            min=60,
            help="The trust of a scheduled operation ends after so many days, unless it is renewed: "
            "whenever its owner changes or enables it. A month before its end that is told.",
        ),
        cfg.IntOpt(
            "authority_check_interval",
            default=3600,
            min=60,
            help="So often, in seconds, it is looked whether schedules still may act.",
        ),
    ],
    NOTIFICATIONS: [
        cfg.ListOpt(
            "events",
            default=list(ALL),
            help="Of these events notifications are sent: patterns, such as *.error.",
        ),
        cfg.ListOpt(
            "webhooks",
            default=[],
            help="NAME, ...: of webhooks. For each there is a group [webhook_NAME].",
        ),
        cfg.IntOpt(
            "tries",
            default=30,
            min=1,
            help="So often it is tried to tell something, less and less often; 30 times take about a day.",
        ),
    ],
    METRICS: [
        cfg.PortOpt("port", help="Answer GET /metrics on this port. Default: do not."),
        cfg.HostAddressOpt("host", default="127.0.0.1", help="The address to listen on."),
    ],
    QUOTA: [
        cfg.StrOpt(
            "driver",
            default="database",
            choices=[
                ("database", "limits are set by this service's API, in its own database"),
                ("keystone", "Keystone's unified limits of these names, read as [oslo_limit] says"),
            ],
            help="Who keeps the limits.",
        ),
        *(
            cfg.IntOpt(name, default=limit, min=-1, help=f"So many {name.replace('_', ' ')}; -1: no limit.")
            for name, limit in DEFAULTS.items()
        ),
    ],
}

WEBHOOK = [
    cfg.StrOpt("url", secret=True, help="Where to: https://..., or http://... within a trusted network."),
    cfg.StrOpt(
        "secret_file",
        help="The file with the secret that signs: base64, with whsec_ in front or without. While it is "
        "being changed, both secrets, a line each.",
    ),
    cfg.ListOpt("events", default=list(ALL), help="Only these events are told: patterns, such as *.error."),
    cfg.IntOpt("timeout", default=10, min=1, help="The answer must be there within so many seconds."),
    cfg.StrOpt(
        "ca_file", help="Who may have signed the receiver's certificate. Default: whom the system trusts."
    ),
]
"""The options of one webhook."""


def make() -> Any:
    """A configuration with all options, which has read nothing yet."""
    conf = cfg.ConfigOpts()
    conf.register_opts(LOGGING)
    for group, options in OPTIONS.items():
        # A group of its own: configurations that share one also share what is set in it.
        conf.register_group(cfg.OptGroup(group.name, help=group.help))
        conf.register_opts(options, group=group.name)
    return conf


def load(files: Iterable[str | Path] | None = None, overrides: Sequence[tuple[str, str, Any]] = ()) -> Any:
    """The configuration.

    :param files: None: the file ``REFLOAT_CONFIG``, else those of ``~/.refloat``, ``/etc/refloat``.
    :param overrides: group, option and value, before all files.
    :raises InvalidInput: a file is missing, may not be read, or is no configuration.
    """
    conf = make()
    chosen = [str(file) for file in files] if files is not None else None
    if chosen is None and os.environ.get("REFLOAT_CONFIG"):
        chosen = [os.environ["REFLOAT_CONFIG"]]
    try:
        conf([], project="refloat", default_config_files=chosen)
    except cfg.Error as exc:
        raise InvalidInput("the configuration cannot be read", reason=str(exc)) from exc
    for group_name, option, value in overrides:
        conf.set_override(option, value, group=group_name)
    targets.register_options(conf, conf.restore.allowed_targets)
    for name in conf.notifications.webhooks:
        conf.register_opts(WEBHOOK, group=f"webhook_{name}")
    return conf


def settings(conf: Any) -> Settings:
    fallback = Settings.load()
    return Settings(
        conf.database.connection or fallback.database_url,
        conf.bank.url or fallback.bank_url,
        Path(conf.bank.key_file) if conf.bank.key_file else fallback.key_file,
        Path(conf.providers.folder) if conf.providers.folder else fallback.providers,
        fallback.seen,
        fallback.noop if conf.providers.noop is None else conf.providers.noop,
    )


def terms(conf: Any) -> Terms:
    """What the operator says of schedules. :raises InvalidInput: the options contradict each other."""
    group = conf.schedules
    if not group.min_window_time <= group.max_window_time <= group.min_interval // 2:
        raise InvalidInput(
            "[schedules] contradicts itself",
            reason="min_window_time must not exceed max_window_time, nor that half of min_interval",
        )
    return Terms(
        Limits(group.min_interval, group.min_window_time, group.max_window_time),
        timedelta(hours=group.minimum_retention),
        timedelta(seconds=group.authority_check_interval),
        timedelta(days=group.trust_days),
    )


def webhooks(conf: Any) -> list[Webhook]:
    """The webhooks. Reads their secrets. :raises InvalidInput: one cannot work."""
    found: list[Webhook] = []
    for name in conf.notifications.webhooks:
        group = conf[f"webhook_{name}"]
        for needed in ("url", "secret_file"):
            if not group[needed]:
                raise InvalidInput(f"[webhook_{name}] needs {needed}")
        ca_file = Path(group.ca_file) if group.ca_file else None
        found.append(Webhook(name, group.url, Path(group.secret_file), float(group.timeout), ca_file))
    return found


def told(conf: Any) -> dict[str, list[str]]:
    """Who is told of which events. :raises InvalidInput: one cannot be called so."""
    names = conf.notifications.webhooks
    for name in names:
        if name == notifier.NAME or not re.fullmatch(r"[\w-]{1,64}", name):
            raise InvalidInput(f"a webhook cannot be called '{name}'")
    found = {name: conf[f"webhook_{name}"].events for name in names}
    if notifier.wanted(conf):
        found[notifier.NAME] = conf.notifications.events
    return found


def list_opts() -> list[tuple[Any, list[Any]]]:
    webhook = cfg.OptGroup("webhook_NAME", help="A webhook: NAME is one of webhooks in [notifications].")
    return [
        ("DEFAULT", LOGGING),
        *OPTIONS.items(),
        (webhook, WEBHOOK),
        (targets.TRUSTEE, targets.list_options()),
    ]

"""``refloat plan``: what is protected together; and ``refloat protect``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import RESOURCE_HELP, parse_parameters, parse_resources, said
from refloat.cli.base import (
    DESCRIPTION,
    NEW_DESCRIPTION,
    NEW_NAME,
    PARAMETER,
    SAID,
    Argument,
    BaseCommand,
    Lister,
    ShowOne,
)
from refloat.cli.operation_base import NO_WAIT, OperationCommand
from refloat.cli.output import Items, Resources, Time

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.records.plans import Plan, PlanAttributes, PlanChanges

LONGEST_OBJECTIVE = 87_600
"""Ten years, in hours."""


def shown(refloat: Backend, plan: Plan) -> Mapping[str, Any]:
    return {
        "id": plan.id,
        "name": plan.name,
        "description": plan.description,
        "provider": refloat.provider_name(plan.provider),
        "resources": Resources(list(plan.resources)),
        "parameters": Items(dict(plan.parameters)),
        "objective": plan.objective,
        "unfit": plan.unfit,
        "exclude": Resources(list(plan.exclude)),
        "project_id": plan.project_id,
        "created_at": Time(plan.created_at),
        "updated_at": Time(plan.updated_at),
    }


def _check_name(name: str | None) -> None:
    from refloat.control.plans import check_name

    check_name(name)


def _read_attributes(parsed_args: argparse.Namespace, found: PlanAttributes) -> None:
    if parsed_args.description is not None:
        found["description"] = parsed_args.description
    if parsed_args.objective is not None:
        found["objective"] = parsed_args.objective or None
    if parsed_args.unfit is not None:
        found["unfit"] = parsed_args.unfit


def _hours(told: str) -> int:
    hours = int(told)
    if not 0 <= hours <= LONGEST_OBJECTIVE:
        raise argparse.ArgumentTypeError(f"must be 0 to {LONGEST_OBJECTIVE} hours")
    return hours


_RESOURCE = "--resource", RESOURCE_HELP + "; can be repeated"
_RESOURCES: dict[str, Any] = {"metavar": "TYPE=ID|NAME|tag:NAME|metadata:KEY=VALUE", "action": "append"}
_OBJECTIVE = Argument(
    "--objective",
    "so old may the newest good checkpoint be before the operator is alerted; 0: any age",
    metavar="HOURS",
    type=_hours,
)
_UNFIT = Argument(
    "--unfit",
    "when resources are gone or cannot be protected: protect the others (skip, at first), or nothing",
    choices=("skip", "fail"),
)
_EXCLUDE = "--exclude", "leave this out, although the project or a tag brings it; can be repeated"
PLAN = Argument("plan", "name or id")


class CreatePlan(ShowOne):
    """Create a plan: name the resources to protect together.

    What they depend on (volumes, images, networks, key pairs...) is found when the plan is protected.
    """

    examples = """
        refloat plan create shop --resource server=web --resource server=db
        refloat plan create nightly --resource server=tag:backup --provider snapshot
        refloat plan create all --resource project=demo --objective 26
        refloat plan create tier1 --resource server=metadata:tier=1 --parameter volume:mode=full
    """

    args = (
        Argument("name", "what to call it"),
        Argument(*_RESOURCE, **_RESOURCES, required=True),
        Argument(*_EXCLUDE, **_RESOURCES),
        PARAMETER,
        _OBJECTIVE,
        _UNFIT,
        Argument(
            "--provider", "how to protect; see 'refloat provider list'", metavar="NAME", default="default"
        ),
        DESCRIPTION,
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        """The new plan. Nothing is asked of the cloud for one that has no name."""
        _check_name(parsed_args.name)
        with self.open() as refloat:
            types = refloat.types()
            attributes: PlanAttributes = {}
            _read_attributes(parsed_args, attributes)
            plan = refloat.create_plan(
                parsed_args.name,
                parse_resources(parsed_args.resource, types),
                provider=parsed_args.provider,
                parameters=parse_parameters(parsed_args.parameter or (), types),
                exclude=parse_resources(parsed_args.exclude or (), types),
                **attributes,
            )
            return shown(refloat, plan)


class ListPlan(Lister):
    """List the project's plans."""

    columns = ("id", "name", "provider", "resources", "description")

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        return [shown(refloat, plan) for plan in refloat.list_plans()]


class ShowPlan(ShowOne):
    """Show a plan; with --now also what a protection would find.

    new: what its last checkpoint does not have; gone: what that has and is not found any more; unfit: what
    cannot be protected; excluded: what is left out.
    """

    args = (PLAN, Argument("--now", "look at all that it stands for now", action="store_true"))

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        plan = refloat.find_plan(parsed_args.plan)
        if not parsed_args.now:
            return shown(refloat, plan)
        found = refloat.plan_now(plan)
        now = {name: Resources(found[name]) for name in ("new", "gone", "unfit", "excluded")}
        return {**shown(refloat, plan), **now, "finds": Resources(found["resources"])}


class SetPlan(ShowOne):
    """Change a plan. What is not given stays as it is.

    --resource and --parameter replace all there were; --exclude adds to what is left out.
    """

    examples = """
        refloat plan set shop --name webshop
        refloat plan set shop --exclude server=old-db --exclude volume=metadata:scratch=yes
        refloat plan set shop --resource server=web --resource server=db --resource server=cache
    """

    args = (
        PLAN,
        NEW_NAME,
        NEW_DESCRIPTION,
        Argument(*_RESOURCE, **_RESOURCES),
        Argument(*_EXCLUDE, **_RESOURCES),
        Argument("--no-exclude", "leave out nothing but what is given with --exclude", action="store_true"),
        PARAMETER,
        _OBJECTIVE,
        _UNFIT,
        Argument("--no-parameters", "forget all parameters", action="store_true"),
    )

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        _check_name(parsed_args.name)
        with self.open() as refloat:
            types = refloat.types()
            resources, parameters = parsed_args.resource, parsed_args.parameter
            changes: PlanChanges = {}
            _read_attributes(parsed_args, changes)
            if parsed_args.name is not None:
                changes["name"] = parsed_args.name
            if resources is not None:
                changes["resources"] = parse_resources(resources, types)
            if parsed_args.exclude is not None or parsed_args.no_exclude:
                changes["exclude"] = parse_resources(parsed_args.exclude or (), types)
                changes["keep_excluded"] = not parsed_args.no_exclude
            if parameters is not None or parsed_args.no_parameters:
                changes["parameters"] = parse_parameters(parameters or (), types)
            return shown(refloat, refloat.update_plan(parsed_args.plan, **changes))


class DeletePlan(BaseCommand):
    """Delete plans. Their checkpoints stay."""

    args = (Argument("plan", "name or id", nargs="+"),)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            for plan in [refloat.find_plan(wanted) for wanted in parsed_args.plan]:
                refloat.delete_plan(plan.id)
                self.say(f"Deleted plan {plan.name} ({plan.id}).")


class Protect(OperationCommand):
    """Protect a plan: write a checkpoint of all its resources and all that they depend on.

    Prints the checkpoint: id, status, operation_id, plan, provider, resources. When it fails,
    everything that was made on the way is removed again and there is no checkpoint.
    """

    examples = """
        refloat protect shop
        CHECKPOINT=$(refloat protect shop -f value -c id)
        refloat protect shop --no-wait -f json
        refloat protect shop --name before-2.4 --note "the upgrade of the shop" --expires 90d
    """

    args = (NO_WAIT, PLAN, *SAID)

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        words = said(parsed_args)
        return self.perform(parsed_args, lambda refloat: refloat.protect(parsed_args.plan, words))

"""``refloat plan``: what is protected together."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import PARAMETER_HELP, RESOURCE_HELP, parse_parameters, parse_resources
from refloat.cli.base import BaseCommand, Lister, ShowOne
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
        "project_id": plan.project_id,
        "created_at": Time(plan.created_at),
        "updated_at": Time(plan.updated_at),
    }


def _check_name(name: str | None) -> None:
    from refloat.control.plans import check_name

    check_name(name)


def _add_choices(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--resource",
        metavar="TYPE=ID|NAME|tag:NAME|metadata:KEY=VALUE",
        action="append",
        required=required,
        help=RESOURCE_HELP + "; can be repeated",
    )
    parser.add_argument(
        "--parameter",
        metavar="TYPE[#ID]:KEY=VALUE",
        action="append",
        help=PARAMETER_HELP,
    )
    parser.add_argument(
        "--objective",
        metavar="HOURS",
        type=_hours,
        help="so old may the newest good checkpoint be before the operator is alerted; 0: any age",
    )


def _read_attributes(parsed_args: argparse.Namespace, found: PlanAttributes) -> None:
    if parsed_args.description is not None:
        found["description"] = parsed_args.description
    if parsed_args.objective is not None:
        found["objective"] = parsed_args.objective or None


def _hours(told: str) -> int:
    hours = int(told)
    if not 0 <= hours <= LONGEST_OBJECTIVE:
        raise argparse.ArgumentTypeError(f"must be 0 to {LONGEST_OBJECTIVE} hours")
    return hours


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

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="what to call it")
        _add_choices(parser, required=True)
        parser.add_argument(
            "--provider",
            metavar="NAME",
            default="default",
            help="how to protect; see 'refloat provider list'",
        )
        parser.add_argument("--description", metavar="TEXT", default="", help="a few words for people")
        return parser

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
                **attributes,
            )
            return shown(refloat, plan)


class ListPlan(Lister):
    """List the project's plans."""

    columns = ("id", "name", "provider", "resources", "description")

    def rows(self, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        with self.open() as refloat:
            return [shown(refloat, plan) for plan in refloat.list_plans()]


class ShowPlan(ShowOne):
    """Show a plan."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("plan", metavar="PLAN", help="name or id")
        return parser

    def show(self, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        with self.open() as refloat:
            return shown(refloat, refloat.find_plan(parsed_args.plan))


class SetPlan(ShowOne):
    """Change a plan. What is not given stays as it is."""

    examples = """
        refloat plan set shop --name webshop
        refloat plan set shop --resource server=web --resource server=db --resource server=cache
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("plan", metavar="PLAN", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="a new name")
        parser.add_argument("--description", metavar="TEXT", help="a new description")
        _add_choices(parser, required=False)
        parser.add_argument("--no-parameters", action="store_true", help="forget all parameters")
        parser.description = f"{parser.description} --resource and --parameter replace all there were."
        return parser

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
            if parameters is not None or parsed_args.no_parameters:
                changes["parameters"] = parse_parameters(parameters or (), types)
            return shown(refloat, refloat.update_plan(parsed_args.plan, **changes))


class DeletePlan(BaseCommand):
    """Delete plans. Their checkpoints stay."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("plan", metavar="PLAN", nargs="+", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with self.open() as refloat:
            for plan in [refloat.find_plan(wanted) for wanted in parsed_args.plan]:
                refloat.delete_plan(plan.id)
                self.say(f"Deleted plan {plan.name} ({plan.id}).")

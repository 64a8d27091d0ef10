"""The kinds of operations there are, and the program that runs each."""

from __future__ import annotations

from collections.abc import Mapping

from refloat.operations.bank_jobs import BankCollectProgram, BankInfoProgram, BankVerifyProgram
from refloat.operations.copy import CopyProgram
from refloat.operations.delete import DeleteProgram
from refloat.operations.dry_runs import CopyPlanProgram, DeletePlanProgram, RestorePlanProgram
from refloat.operations.programs import OperationProgram
from refloat.operations.protect import ProtectProgram
from refloat.operations.restore import RestoreProgram
from refloat.operations.single_step import SingleStepProgram
from refloat.operations.verify import VerifyProgram

PROGRAMS: Mapping[str, type[OperationProgram] | type[SingleStepProgram]] = {
    program.kind: program
    for program in (
        ProtectProgram,
        RestoreProgram,
        VerifyProgram,
        CopyProgram,
        DeleteProgram,
        RestorePlanProgram,
        CopyPlanProgram,
        DeletePlanProgram,
        BankInfoProgram,
        BankVerifyProgram,
        BankCollectProgram,
    )
}

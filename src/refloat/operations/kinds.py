"""The kinds of operations there are."""

from __future__ import annotations

from collections.abc import Mapping

from refloat.operations.copy import CopyProgram
from refloat.operations.delete import DeleteProgram
from refloat.operations.programs import OperationProgram
from refloat.operations.protect import ProtectProgram
from refloat.operations.restore import RestoreProgram
from refloat.operations.verify import VerifyProgram

PROGRAMS: Mapping[str, type[OperationProgram]] = {
    program.kind: program
    for program in (ProtectProgram, RestoreProgram, VerifyProgram, CopyProgram, DeleteProgram)
}

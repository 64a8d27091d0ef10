"""From a store and a key to an open bank: which bank it is, and its secrets."""

from __future__ import annotations

from blake3 import blake3

from refloat.bank.descriptor import Descriptor, create_bank, read_descriptors
from refloat.bank.identity import DESCRIPTOR, what_is_in, wrong
from refloat.bank.keyring import Keyring
from refloat.bank.keys import KeySource, ProjectKey
from refloat.bank.objects import Objects
from refloat.bank.opening import open_store
from refloat.bank.sealing import Sealer, damaged
from refloat.bank.slots import Slot, open_roots, slots
from refloat.bank.store import Store
from refloat.bank.wrapper import ReadOnly
from refloat.errors import BankError, NoBank, NotFound


def find_bank(url: str | Store, *, expect: str = "") -> tuple[Store, list[Descriptor]]:
    """The store, and what the descriptor of its bank says, and its copy if that differs.

    See :meth:`refloat.bank.Bank.open`.
    """
    try:
        store = open_store(url) if isinstance(url, str) else url
    except NotFound as error:
        if expect:
            raise wrong(str(url), f"the bank {expect}", "nothing") from error
        raise NoBank(f"there is no bank in {url}", reason=error.message) from error
    found = read_descriptors(store)
    if expect:
        found = [each for each in found if each.id == expect]
        if not found:
            raise wrong(store.url, f"the bank {expect}", what_is_in(store))
    if not found:
        raise NoBank(f"there is no bank in {store.url}", reason=f"there is {what_is_in(store)}")
    return store, found


def create(url: str | Store, key: KeySource) -> str:
    """Make a bank where there is nothing; its id. :raises Conflict, InvalidInput: there is something."""
    return create_bank(open_store(url, create=True) if isinstance(url, str) else url, key)


def look(url: str | Store, *, expect: str = "") -> list[Slot] | None:
    """The keys that open the bank at ``url``, without one; None: there is none, and none was expected."""
    try:
        store, found = find_bank(url, expect=expect)
    except NoBank:
        return None
    return max((slots(store, bytes.fromhex(each.id)) for each in found), key=len)


def unlock(store: Store, found: list[Descriptor], source: KeySource) -> tuple[Objects, Descriptor, str]:
    """The objects of a bank, its descriptor, and the id of the key that opened it.

    :raises BankError: no key of this source opens the bank.
    """
    problem: BankError | None = None
    for descriptor in found:
        bank_id = bytes.fromhex(descriptor.id)
        try:
            roots = open_roots(store, bank_id, source)
            keys = Keyring(store, bank_id, roots)
            descriptor.authenticate(keys)
        except BankError as error:
            problem = problem or error
            continue
        objects = Objects(store, keys, Sealer(keys, bank_id), descriptor.identity)
        return objects, descriptor, roots.key.id.hex()
    raise problem or BankError(f"there is no bank in {store.url}")


def unlock_project(store: Store, found: list[Descriptor], key: ProjectKey) -> tuple[Objects, Descriptor]:
    """The objects of a bank, for reading those of one project."""
    if key.bank_id not in {each.id for each in found}:
        raise BankError(
            f"the key does not open the bank {store.url}", reason="it is a project's key of another bank"
        )
    for descriptor in found:
        if key.descriptor == blake3(descriptor.raw).hexdigest():
            bank_id = bytes.fromhex(descriptor.id)
            looked_at = ReadOnly(store)
            keys = Keyring(looked_at, bank_id, None, key)
            return Objects(looked_at, keys, Sealer(keys, bank_id), descriptor.identity), descriptor
    raise damaged(DESCRIPTOR, "it is not what was written")

"""From a store and a key to an open bank: which bank it is, or a new one, and its secrets."""

from __future__ import annotations

from blake3 import blake3

from refloat.bank.descriptor import Descriptor, create_bank, read_descriptors
from refloat.bank.identity import DESCRIPTOR, what_is_in, wrong
from refloat.bank.keyring import Keyring
from refloat.bank.keys import KeySource, ProjectKey
from refloat.bank.objects import Objects
from refloat.bank.opening import open_store
from refloat.bank.sealing import Sealer, damaged
from refloat.bank.slots import open_root
from refloat.bank.store import Store
from refloat.bank.wrapper import ReadOnly
from refloat.errors import BankError, NotFound


def find_bank(url: str | Store, *, create: KeySource | None, expect: str) -> tuple[Store, list[Descriptor]]:
    """The store, and what the descriptor of its bank says, and its copy if that differs.

    See :meth:`refloat.bank.Bank.open`.

    :param create: make a bank with this key if there is none.
    """
    if expect:
        create = None
    try:
        store = open_store(url, create=create is not None) if isinstance(url, str) else url
    except NotFound as error:
        if expect:
            raise wrong(str(url), expect, "nothing") from error
        raise
    found = read_descriptors(store)
    if expect:
        found = [each for each in found if each.id == expect]
        if not found:
            raise wrong(store.url, expect, what_is_in(store))
    if not found and create is not None:
        create_bank(store, create)
        found = read_descriptors(store)
        if not found:
            raise BankError(f"the bank in {store.url} vanished as soon as it was made")
    if not found:
        raise NotFound(f"there is no bank in {store.url}")
    return store, found


def unlock(store: Store, found: list[Descriptor], source: KeySource) -> tuple[Objects, Descriptor, str]:
    """The objects of a bank, its descriptor, and the id of the key that opened it.

    :raises BankError: no key of this source opens the bank.
    """
    problem: BankError | None = None
    for descriptor in found:
        bank_id = bytes.fromhex(descriptor.id)
        try:
            root, used = open_root(store, bank_id, source)
            keys = Keyring(store, bank_id, root)
            descriptor.authenticate(keys)
        except BankError as error:
            problem = problem or error
            continue
        objects = Objects(store, keys, Sealer(keys, bank_id), descriptor.identity)
        return objects, descriptor, used.id.hex()
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

"""`master_key` to the client ApiKey that takes its place."""

from __future__ import annotations

import hashlib
import re

from sluicegate.litellm_config.findings import Place, SourceFile
from sluicegate.litellm_config.secrets import Keyring
from sluicegate.litellm_config.values import FromVariable, Section
from sluicegate.resources.documents import PLACEHOLDER

_NAME = "litellm-master-key"
_VARIABLE = "LITELLM_MASTER_KEY"
# What a key in a Secret has to be (ApiKey, `client`); a hash may be of any key.
_KEY = re.compile(r"[!-~][ -~]{14,510}[!-~]", re.ASCII)
_HASHABLE = re.compile(r"[!-~]([ -~]{0,510}[!-~])?", re.ASCII)


def add_master_key(general: Section, keyring: Keyring, first: SourceFile) -> None:
    """Make the ApiKey; none where there is no key, or none that can be one.

    A key in a variable stays there. One in plain text becomes its hash, which is all that is
    needed; so does one that is too short for a Secret, since it opened LiteLLM too.
    """
    environment, findings = general.environment, general.findings
    place = general.place("master_key")
    key = general.credential("master_key")
    if key is None and environment.get(_VARIABLE):
        key = environment.credential(_VARIABLE)
        findings.note(
            Place(first, ("general_settings",)),
            f"there is no master_key: the variable {_VARIABLE} is the key, as with LiteLLM",
        )
    if key is None:
        findings.warning(
            Place(first, ("general_settings",)),
            "there is no master_key: LiteLLM would serve every caller, and here every request is "
            "refused; write an ApiKey, or serve with --allow-anonymous",
        )
        return
    if isinstance(key, FromVariable):
        text = environment.get(key.name)
        if text is None or _KEY.fullmatch(text):
            keyring.client_key(_NAME, {"secretRef": keyring.client(key, place, _NAME)}, place)
            return
    else:
        text = key.text
    if _HASHABLE.fullmatch(text) is None:
        findings.error(place, "must be up to 512 printable ASCII characters")
        return
    if PLACEHOLDER.fullmatch(text) is not None:
        findings.error(place, "must be a key, or os.environ/NAME for a variable")
        return
    if _KEY.fullmatch(text) is None:
        findings.warning(
            place,
            "is so short that it can be guessed from its hash: take one of 16 characters or more "
            "(`sluicegate key new` makes one)",
        )
    else:
        findings.note(place, "is a key in plain text: only its hash is in the manifest")
    digest = hashlib.sha256(text.encode()).hexdigest()
    keyring.client_key(_NAME, {"keyHash": f"sha256:{digest}"}, place)

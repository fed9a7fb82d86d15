"""secrets_encryption: which state does what, and that its result holds no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._secrets_encryption import Encryption, Key, render
from ansible_collections.kubestead.cluster.plugins.modules.secrets_encryption import perform

ONE, TWO = Key("key1", "A" * 43 + "="), Key("key2", "B" * 43 + "=")


@pytest.fixture
def module(fake_module: type[Any]) -> Any:
    """A module in check mode, on a cluster of one namespace with two Secrets."""

    def answer(command: list[str], _data: str | None) -> tuple[int, str, str]:
        item = '{"metadata": {"name": "default"}}'
        return 0, f'{{"kind": "List", "items": [{item}{f", {item}" if "secrets" in command else ""}]}}', ""

    made = fake_module(answer)
    made.check_mode = True
    return made


@pytest.fixture
def encryption(module: Any, tmp_path: Path) -> Encryption:
    made = Encryption(module, str(tmp_path / "configuration.yaml"))
    made.file.manifest = str(tmp_path / "kube-apiserver.yaml")
    Path(made.file.manifest).write_text(f"--encryption-provider-config={made.file.path}\n")
    return made


@pytest.mark.parametrize(
    ("state", "keys", "changed"),
    [
        ("present", [ONE], False),
        ("key_added", [ONE], True),
        ("key_added", [ONE, TWO], False),
        ("newest_key_used", [ONE, TWO], True),
        ("newest_key_used", [TWO, ONE], False),
        ("other_keys_removed", [TWO, ONE], True),
        ("other_keys_removed", [TWO], False),
    ],
)
def test_each_state_changes_what_it_is_for(
    module: Any, encryption: Encryption, state: str, keys: list[Key], changed: bool
) -> None:
    encryption.file.write(render(keys))
    module.params = {"state": state, "configurations": [], "wait": True}
    result = perform(module, encryption, member=True)
    assert result == {"changed": changed, "keys": [key.name for key in keys]}


def test_secrets_are_counted(module: Any, encryption: Encryption) -> None:
    encryption.file.write(render([ONE]))
    module.params = {"state": "secrets_rewritten", "configurations": [], "wait": True}
    assert perform(module, encryption, member=True) == {"changed": True, "secrets": 2, "keys": ["key1"]}


def test_a_machine_that_joins_takes_what_it_is_given(module: Any, encryption: Encryption) -> None:
    module.check_mode = False
    module.params = {"state": "present", "configurations": [render([TWO])], "wait": True}
    assert perform(module, encryption, member=False) == {"changed": True, "keys": ["key2"]}
    assert encryption.file.text() == render([TWO])


def test_the_file_of_somebody_else_has_no_names(module: Any, encryption: Encryption) -> None:
    encryption.file.write("kind: EncryptionConfiguration\n")
    module.params = {"state": "present", "configurations": [], "wait": True}
    assert perform(module, encryption, member=True) == {"changed": False, "keys": []}

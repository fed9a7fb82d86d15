"""The keys for Secrets: how they are written, read and rotated, and that no state of a broken-off rotation loses one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.cluster.plugins.module_utils import _secrets_encryption
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._secrets_encryption import (
    Encryption,
    Key,
    encrypts,
    new_key,
    newest_first,
    parse,
    render,
    united,
)

ONE = Key("key1", "A" * 43 + "=")
TWO = Key("key2", "B" * 43 + "=")
OTHER = Key("key1", "C" * 43 + "=")


class ControlPlane:
    """A control plane in a folder, whose API server has read its file at once."""

    def __init__(self, folder: Path, fake_module: type[Any]) -> None:
        self.path = folder / "encryption/configuration.yaml"
        self.manifest = folder / "kube-apiserver.yaml"
        self.manifest.write_text(f"    - --secure-port=6443\n    - --encryption-provider-config={self.path}\n")
        self.reads = True
        self.secrets = {"default": [{"kind": "Secret", "data": {"word": "aGlkZGVu"}}], "empty": []}
        self.refusals: list[str] = []
        self.module = fake_module(self.answer)
        self.encryption = Encryption(self.module, str(self.path))
        self.encryption.file.manifest = str(self.manifest)

    def put(self, *keys: Key) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(render(keys))

    def keys(self) -> list[str]:
        return [key.name for key in parse(self.path.read_text())]

    def answer(self, command: list[str], _data: str | None) -> tuple[int, str, str]:
        if "/metrics" in command:
            digest = hashlib.sha256(self.path.read_bytes() if self.reads else b"").hexdigest()
            name = "apiserver_encryption_config_controller_last_config_info"
            return 0, f'# HELP {name}\n{name}{{apiserver_id_hash="sha256:{"0" * 64}",hash="sha256:{digest}"}} 1\n', ""
        if command[1:3] == ["get", "namespaces"]:
            return 0, json.dumps({"kind": "List", "items": [{"metadata": {"name": name}} for name in self.secrets]}), ""
        if command[1:3] == ["get", "secrets"]:
            return 0, json.dumps({"kind": "List", "items": self.secrets[command[4]]}), ""
        assert command[1] == "replace"
        return (1, "", self.refusals.pop(0)) if self.refusals else (0, "secret/probe\n", "")


@pytest.fixture
def control_plane(tmp_path: Path, fake_module: type[Any], monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    monkeypatch.setattr(_secrets_encryption, "RELOAD_SECONDS", 0)
    return ControlPlane(tmp_path, fake_module)


def test_the_file_is_what_the_api_server_reads() -> None:
    document = yaml.safe_load(render([TWO, ONE]))
    (resources,) = document["resources"]
    assert (document["kind"], resources["resources"]) == ("EncryptionConfiguration", ["secrets"])
    keys = [{"name": key.name, "secret": key.secret} for key in (TWO, ONE)]
    assert resources["providers"] == [{"secretbox": {"keys": keys}}, {"identity": {}}]
    (resources,) = yaml.safe_load(render([ONE], encrypting=False))["resources"]
    assert [next(iter(provider)) for provider in resources["providers"]] == ["identity", "secretbox"]
    assert parse(render([TWO, ONE])) == parse(render([TWO, ONE], encrypting=False)) == [TWO, ONE]


def test_a_file_of_somebody_else_is_not_touched() -> None:
    for text in ("", "kind: EncryptionConfiguration\n", render([ONE]).replace("[secrets]", "[secrets, configmaps]")):
        with pytest.raises(KubesteadError, match="not written by Kubestead"):
            parse(text)


def test_comments_may_become_others() -> None:
    for encrypting in (True, False):
        text = "# Older words.\n" + "\n".join(render([ONE], encrypting).splitlines()[2:]) + "\n"
        assert parse(text) == [ONE]
        assert encrypts(text) is encrypting


def test_keys_are_random_and_numbered() -> None:
    made = [new_key([ONE, TWO]) for _time in range(2)]
    assert {key.name for key in made} == {"key3"}
    assert made[0].secret != made[1].secret
    assert parse(render(made[:1])) == made[:1]


def test_keys_of_all_control_planes_are_united_and_contradictions_refused() -> None:
    assert united([[ONE], [TWO, ONE]]) == [ONE, TWO]
    assert newest_first([ONE, TWO, new_key([TWO])])[1:] == [TWO, ONE]
    with pytest.raises(KubesteadError, match="different keys of the name key1") as refused:
        united([[ONE], [OTHER]])
    assert ONE.secret not in str(refused.value)


def test_the_first_control_plane_makes_a_key_and_keeps_it(control_plane: ControlPlane) -> None:
    control_plane.manifest.unlink()
    assert control_plane.encryption.present(None, member=False)
    text = control_plane.path.read_text()
    assert control_plane.path.stat().st_mode & 0o777 == 0o600
    assert control_plane.path.parent.stat().st_mode & 0o777 == 0o700
    assert not control_plane.encryption.present(None, member=False)
    assert control_plane.path.read_text() == text


def test_a_joining_control_plane_takes_the_members_keys_and_a_member_keeps_its_own(control_plane: ControlPlane) -> None:
    control_plane.put(OTHER)
    assert not control_plane.encryption.present(render([TWO, ONE]), member=True)
    assert control_plane.encryption.present(render([TWO, ONE]), member=False)
    assert control_plane.keys() == ["key2", "key1"]
    assert not control_plane.encryption.present(render([TWO, ONE]), member=False)


def test_a_lost_key_is_not_replaced_by_another(control_plane: ControlPlane) -> None:
    with pytest.raises(KubesteadError, match=r"no new one is made. Nothing was changed"):
        control_plane.encryption.present(None, member=True)
    assert not control_plane.path.exists()
    assert control_plane.encryption.present(render([ONE]), member=True)


def test_in_a_cluster_that_runs_a_first_key_only_decrypts_until_all_api_servers_have_it(
    control_plane: ControlPlane,
) -> None:
    manifest = control_plane.manifest.read_text()
    control_plane.manifest.write_text("    - --secure-port=6443\n")
    assert control_plane.encryption.present(None, member=True)
    (key,) = parse(control_plane.path.read_text())
    assert control_plane.path.read_text() == render([key], encrypting=False)
    control_plane.manifest.write_text(manifest)
    control_plane.encryption.add_key([])
    assert control_plane.path.read_text().index("identity: {}") < control_plane.path.read_text().index("secretbox:")
    control_plane.encryption.use_newest()
    assert control_plane.keys() == ["key2", "key1"]
    assert control_plane.path.read_text().index("identity: {}") > control_plane.path.read_text().index("secretbox:")


def test_a_rotation_ends_with_the_new_key_alone(control_plane: ControlPlane) -> None:
    control_plane.put(ONE)
    encryption = control_plane.encryption
    assert encryption.add_key([])
    assert control_plane.keys() == ["key1", "key2"]
    assert encryption.use_newest()
    assert control_plane.keys() == ["key2", "key1"]
    assert encryption.rewrite() == 1
    assert encryption.drop_others()
    assert control_plane.keys() == ["key2"]


@pytest.mark.parametrize(
    ("own", "others"),
    [
        pytest.param([ONE], [[ONE, TWO]], id="only another has the new key"),
        pytest.param([ONE, TWO], [[ONE]], id="only this one has the new key"),
        pytest.param([ONE, TWO], [[TWO, ONE]], id="another uses the new key"),
        pytest.param([TWO], [[TWO, ONE]], id="this one has forgotten the old key"),
    ],
)
def test_a_rotation_that_was_broken_off_goes_on_with_its_key(
    control_plane: ControlPlane, own: list[Key], others: list[list[Key]]
) -> None:
    control_plane.put(*own)
    control_plane.encryption.add_key([render(keys) for keys in others])
    assert sorted(control_plane.keys()) == ["key1", "key2"]
    assert control_plane.keys()[0] == own[0].name
    control_plane.encryption.use_newest()
    assert control_plane.keys() == ["key2", "key1"]


def test_a_file_that_the_api_server_does_not_take_stops_the_rotation(control_plane: ControlPlane) -> None:
    control_plane.put(ONE)
    control_plane.reads = False
    with pytest.raises(KubesteadError, match=r"to read its keys anew.*run the same again"):
        control_plane.encryption.add_key([])
    assert control_plane.encryption.add_key([], wait=False) is False
    control_plane.manifest.write_text("    - --secure-port=6443\n")
    with pytest.raises(KubesteadError, match="Nothing was changed"):
        control_plane.encryption.use_newest()


def test_check_mode_changes_nothing(control_plane: ControlPlane) -> None:
    control_plane.put(ONE)
    control_plane.module.check_mode = True
    assert control_plane.encryption.add_key([])
    assert control_plane.encryption.rewrite() == 1
    assert control_plane.keys() == ["key1"]
    assert not any("replace" in command for command in control_plane.module.commands)


def test_secrets_that_change_meanwhile_are_looked_at_again(control_plane: ControlPlane) -> None:
    control_plane.refusals = ["Error from server (Conflict): the object has been modified"]
    assert control_plane.encryption.rewrite() == 1
    control_plane.refusals = ["Error from server (Conflict): the object has been modified"] * 9
    with pytest.raises(KubesteadError, match=r"default could not be written again.*Conflict") as refused:
        control_plane.encryption.rewrite()
    assert "aGlkZGVu" not in repr((refused.value, refused.value.details))


def test_secrets_travel_by_standard_input_alone(control_plane: ControlPlane) -> None:
    control_plane.encryption.rewrite()
    assert any("aGlkZGVu" in (text or "") for text in control_plane.module.inputs)
    assert "aGlkZGVu" not in repr(control_plane.module.commands)

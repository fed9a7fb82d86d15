"""Runs on the machine that is looked at: prints as JSON what it is like. Standard library only, any Python from 3.9 on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOTS = ("/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var")
MOUNT_OCTAL = re.compile(r"\\([0-7]{3})")
COUNTERS = re.compile(r" counter packets \d+ bytes \d+|\[\d+:\d+\]")


def ask(*command: str) -> str:
    """What a command prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout
    except OSError:
        return ""


def file_facts(path: str) -> str:
    """Type, mode and owner of a file, and a digest of its content where it is small enough to matter."""
    facts = os.lstat(path)
    words = [stat.filemode(facts.st_mode), f"{facts.st_uid}:{facts.st_gid}"]
    if stat.S_ISLNK(facts.st_mode):
        words.append(f"-> {Path(path).readlink()}")
    elif stat.S_ISREG(facts.st_mode):
        if facts.st_size > 1 << 20:
            words.append(str(facts.st_size))
        else:
            words.append(hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12])
    return " ".join(words)


def packaged() -> set[str]:
    """Files that came in packages, of which the list of packages tells."""
    listed: set[str] = set(ask("rpm", "--query", "--all", "--list").splitlines())
    for path in Path("/var/lib/dpkg/info").glob("*.list"):
        listed.update(path.read_text(errors="replace").splitlines())
    # Packages still name what lies under /usr today by its older name.
    return listed | {f"/usr{path}" for path in listed}


def files() -> dict[str, str]:
    found = {}
    skipped = {path for path in packaged() if path.startswith("/usr/")}
    for root in ROOTS:
        for folder, folders, names in os.walk(root):
            for path in (f"{folder}/{name}" for name in [*folders, *names]):
                try:
                    if path not in skipped:
                        found[path] = file_facts(path)
                except OSError:
                    continue
    return found


def links() -> dict[str, str]:
    listed = json.loads(ask("ip", "-json", "-details", "link", "show") or "[]")
    return {link["ifname"]: link.get("linkinfo", {}).get("info_kind", "") for link in listed if link}


def lines(text: str) -> dict[str, str]:
    """Each line by itself, with how often it occurs."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        if line.strip():
            found[line.strip()] = found.get(line.strip(), 0) + 1
    return {line: str(count) for line, count in found.items()}


def mounts() -> dict[str, str]:
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        point = MOUNT_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), left.split(" ")[4])
        found[point] = right.split(" ")[0]
    return found


def processes() -> dict[str, str]:
    found = {}
    own = {str(os.getpid()), str(os.getppid())}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name not in own:
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if line:
                found[line] = "runs"
    return found


def sysctls() -> dict[str, str]:
    pairs = (line.partition(" = ") for line in ask("sysctl", "--all").splitlines())
    return {name: value for name, _, value in pairs}


def saved_rules() -> Iterator[str]:
    """Chains, policies and rules of iptables in both its forms."""
    for family in ("iptables", "ip6tables"):
        tools = [f"{family}-nft-save"]
        # Asking for legacy tables where there are none would make them.
        names = Path(f"/proc/net/{family[: -len('tables')]}_tables_names")
        if names.exists() and names.read_text().strip():
            tools.append(f"{family}-legacy-save")
        for tool in tools:
            table = ""
            for line in ask(tool).splitlines():
                if line.startswith("*"):
                    table = line
                elif line and not line.startswith("#"):
                    yield f"{tool} {table} {COUNTERS.sub('', line).strip()}"


def listed_rules() -> Iterator[str]:
    """Tables, chains and rules of nftables."""
    table = chain = ""
    for line in ask("nft", "--stateless", "list", "ruleset").splitlines():
        text = COUNTERS.sub("", line).strip()
        if text in ("", "}"):
            continue
        if line.startswith("table"):
            table, chain = text.rstrip(" {"), ""
        elif line.startswith("\t\t"):
            yield f"nft {table} {chain}: {text}"
            continue
        else:
            chain = text.rstrip(" {")
        yield f"nft {table} {chain}".strip()


def firewall() -> dict[str, str]:
    return dict.fromkeys([*saved_rules(), *listed_rules()], "there")


def units() -> dict[str, str]:
    found = {}
    for line in ask("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full").splitlines():
        name, load, active, _rest = [*line.split(None, 3), "", "", "", ""][:4]
        # A unit that is known only because another names it is none.
        if load != "not-found" and active == "active":
            found[name] = active
    for line in ask("systemctl", "list-unit-files", "--no-legend", "--full").splitlines():
        words = line.split()
        if len(words) > 1 and words[1] != "transient":
            found[f"{words[0]} (file)"] = words[1]
    return found


def packages() -> dict[str, str]:
    form = "${Package}\t${Version} ${db:Status-Want} ${db:Status-Status}\n"
    shown = ask("dpkg-query", "--show", "--showformat=" + form) or ask(
        "rpm", "-qa", "--qf", "%{NAME}\t%{VERSION}-%{RELEASE}\n"
    )
    return dict(line.split("\t", 1) for line in shown.splitlines() if "\t" in line)


def main() -> None:
    snapshot = {
        "files": files(),
        "links": links(),
        "addresses": lines(ask("ip", "-oneline", "-brief", "address", "show")),
        "routes": lines(ask("ip", "route", "show", "table", "all") + ask("ip", "-6", "route", "show", "table", "main")),
        "rules": lines(ask("ip", "rule", "show")),
        "namespaces": lines(ask("ip", "netns", "list")),
        "mounts": mounts(),
        "processes": processes(),
        "sysctls": sysctls(),
        "firewall": firewall(),
        "sets": lines(ask("ipset", "list", "-name")),
        "units": units(),
        "packages": packages(),
    }
    print(json.dumps(snapshot))


if __name__ == "__main__":
    main()

"""The systemd units: their text, what systemd itself says of it, and how they are installed."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from islands.errors import ConfigError
from launcher import installing, units
from launcher.units import EXAMPLE, ISLAND, RUN, SLICE, Installation
from tests.islands.evolving import REPOSITORY

KNOWN_TO_252 = {
    "AllowedCPUs", "Before", "CPUAffinity", "CPUWeight", "CacheDirectory", "CapabilityBoundingSet",
    "ConditionPathExists", "Description",
    "Environment", "ExecStart", "IPAddressDeny", "KillMode", "KillSignal", "LimitCORE", "LimitNOFILE",
    "LockPersonality", "MemoryMax", "NoNewPrivileges", "NotifyAccess", "OOMPolicy", "PrivateDevices",
    "PrivateNetwork", "PrivateTmp", "ProtectClock", "ProtectControlGroups", "ProtectHome", "ProtectHostname",
    "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem",
    "ReadWritePaths", "RemoveIPC", "RequiresMountsFor", "Restart", "RestartPreventExitStatus", "RestartSec",
    "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RuntimeDirectory",
    "RuntimeDirectoryPreserve", "Slice", "StartLimitBurst", "StartLimitIntervalSec", "SuccessExitStatus",
    "SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallFilter", "TasksMax", "TimeoutAbortSec",
    "TimeoutStartSec", "TimeoutStopSec", "Type", "UMask", "User", "WantedBy", "WatchdogSec", "WorkingDirectory",
}  # fmt: skip
"""A key that is added has to be one that systemd 252 knows."""
UNPRIVILEGED_NEVER = {
    "AllowedCPUs", "CapabilityBoundingSet", "IPAddressDeny", "PrivateDevices", "PrivateNetwork", "PrivateTmp",
    "ProtectSystem", "ReadWritePaths", "User",
}  # fmt: skip
"""What a user's own manager cannot do."""
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)
SERVICES = [RUN, ISLAND]


@pytest.fixture
def directory():
    """A working directory that system units could use: not in /tmp."""
    folder = Path("/dev/shm") / f"evolab-units-{os.getpid()}"
    (folder / "runs").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def keys(text):
    return [line.partition("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")]


def values(text, key):
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def real(directory, user="daemon", **more):
    return units.texts(Installation((sys.executable, "-P", "-m", "launcher"), directory, user, **more))


def written(texts, folder):
    installing.write(texts, folder)
    return [str(folder / name) for name in texts]


def analyze(*arguments, folder=None):
    """What systemd-analyze says; `folder` is a user's runtime directory."""
    environment = {**os.environ, **({"XDG_RUNTIME_DIR": str(folder)} if folder else {})}
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_the_units_in_scripts_are_what_is_written_for_the_example():
    """After a change: `python -m launcher.installing scripts/systemd`."""
    folder = REPOSITORY / "scripts" / "systemd"
    assert {path.name: path.read_text() for path in folder.iterdir()} == units.texts(EXAMPLE)


@pytest.mark.parametrize("user", ["evolab", ""])
def test_every_key_is_one_that_systemd_252_knows(directory, user):
    for text in real(directory, user, cpus="0").values():
        assert set(keys(text)) <= KNOWN_TO_252 and "MemoryDenyWriteExecute" not in keys(text)


def test_units_of_a_user_leave_out_what_an_unprivileged_manager_cannot_do(directory):
    texts = real(directory, "", cpus="0-3")
    assert not {key for text in texts.values() for key in keys(text)} & UNPRIVILEGED_NEVER
    assert all(values(texts[name], "CPUAffinity") == ["0-3"] for name in SERVICES)
    assert all(values(texts[name], "WantedBy") == ["default.target"] for name in SERVICES)


def test_processors_are_set_aside_by_the_slice_and_memory_is_bounded_everywhere(directory):
    texts = real(directory, memory="64G", cpus="1-127")
    assert values(texts[SLICE], "AllowedCPUs") == ["1-127"]
    assert all(values(text, "MemoryMax") == ["64G"] for text in texts.values())


def test_no_island_of_a_launcher_takes_the_others_with_it_when_memory_ends(directory):
    assert values(real(directory)[RUN], "OOMPolicy") == ["continue"]


@needs_systemd
def test_systemd_has_nothing_to_say_about_the_units(directory, tmp_path):
    ended = analyze("verify", *written(real(directory, cpus="0"), tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@needs_systemd
def test_a_users_systemd_has_nothing_to_say_about_their_units(directory, tmp_path):
    ended = analyze("--user", "verify", *written(real(directory, "", cpus="0"), tmp_path / "units"), folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@needs_systemd
def test_systemd_would_have_said_something_about_an_unknown_key(directory, tmp_path):
    texts = {name: text.replace("RestartSec=", "RestartSeconds=") for name, text in real(directory).items()}
    assert "RestartSeconds" in analyze("verify", *written(texts, tmp_path)).stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_system_units_are_exposed_to_3_at_most(directory, tmp_path, name):
    paths = dict(zip(real(directory), written(real(directory), tmp_path), strict=True))
    ended = analyze("security", "--offline=true", "--threshold=30", paths[name])
    assert ended.returncode == 0, ended.stdout


@needs_systemd
def test_paths_with_blanks_and_percent_signs_are_understood(directory, tmp_path):
    odd = directory / "an odd place, 100 %i of $HOME; {x} é"
    odd.mkdir()
    program = odd / "evolab"
    program.symlink_to("/bin/true")
    texts = units.texts(Installation((str(program),), odd, "daemon"))
    ended = analyze("verify", *written(texts, tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert values(texts[RUN], "WorkingDirectory") == [str(odd).replace("%", "%%")]
    assert values(texts[RUN], "ConditionPathExists") == [f"!{odd}/runs/%i/stop".replace("100 %i", "100 %%i")]
    program.unlink()  # that systemd looks for the program where it is shows in its absence
    assert f"{program} is not executable" in analyze("verify", *written(texts, tmp_path)).stderr


def request(directory, folder, **more):
    return installing.Request(folder=folder, directory=directory, **more)


@pytest.fixture
def wherever_this_is(monkeypatch):
    """This checkout may itself lie in a folder that system units do not see."""
    monkeypatch.setattr(installing, "_HIDDEN", ())


@pytest.mark.usefixtures("wherever_this_is")
def test_the_units_of_this_installation_name_its_command_its_folder_and_its_owner(directory, tmp_path):
    told = installing.install(request(directory, tmp_path), force=False)
    text = (tmp_path / RUN).read_text()
    assert values(text, "WorkingDirectory") == [str(directory)]
    assert values(text, "User") == [pwd.getpwuid(directory.stat().st_uid).pw_name]
    command = values(text, "ExecStart")[0].split()
    assert os.access(command[0], os.X_OK) and command[-2:] == ["launch", "--resume=%i"]
    assert told[:3] == [f"wrote {tmp_path / name}" for name in (RUN, ISLAND, SLICE)]
    assert any(line.split()[:2] == ["systemctl", "link"] for line in told)
    assert any("systemctl daemon-reload" in line for line in told) and any("enable --now" in line for line in told)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (RUN, ISLAND, SLICE)} == {0o644}


@pytest.mark.usefixtures("wherever_this_is")
def test_installing_again_changes_nothing_and_a_different_file_stays_unless_forced(directory, tmp_path):
    installing.install(request(directory, tmp_path), force=False)
    assert installing.install(request(directory, tmp_path), force=False)[0] == f"unchanged {tmp_path / RUN}"
    (tmp_path / ISLAND).write_text("mine\n")
    (tmp_path / SLICE).unlink()
    with pytest.raises(ConfigError, match=r"evolab-island@\.service.*--force"):
        installing.install(request(directory, tmp_path, memory="1G"), force=False)
    assert (tmp_path / ISLAND).read_text() == "mine\n" and not (tmp_path / SLICE).exists()
    installing.install(request(directory, tmp_path), force=True)
    assert "ExecStart" in (tmp_path / ISLAND).read_text() and (tmp_path / SLICE).exists()


def test_a_masked_unit_stays_masked_unless_forced(directory, tmp_path):
    (tmp_path / SLICE).symlink_to("/dev/null")
    with pytest.raises(ConfigError):
        installing.install(request(directory, tmp_path), force=False)
    assert (tmp_path / SLICE).is_symlink()


def test_units_of_a_user_go_to_their_own_folder(directory, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    told = installing.install(request(directory, None, user=True), force=False)
    assert (tmp_path / "systemd" / "user" / RUN).exists()
    assert any("systemctl --user daemon-reload" in line for line in told) and any(
        "enable-linger" in line for line in told
    )


@pytest.mark.parametrize(
    "wrong",
    [{"memory": "much"}, {"memory": "90%\nUser=root"}, {"cpus": "all"}, {"cpus": "1-"}, {"directory": Path("/none")}],
)
def test_what_a_unit_could_not_use_is_refused(directory, tmp_path, wrong):
    with pytest.raises(ConfigError, match="expected"):
        installing.installation(installing.Request(**{"directory": directory, **wrong}))


def test_a_working_directory_that_the_unit_would_not_see_or_could_not_name_is_refused(directory, tmp_path):
    with pytest.raises(ConfigError, match="/tmp"):
        installing.installation(installing.Request(directory=Path("/tmp")))
    for name in ("two\nlines", "back\\slash", "it's"):
        (directory / name).mkdir()
        with pytest.raises(ConfigError, match="expected"):
            installing.installation(installing.Request(directory=directory / name))


def test_the_command_prints_units_and_refuses_in_one_line_with_exit_code_2(directory, tmp_path):
    command = [sys.executable, "-m", "launcher", "install-unit", "--working-directory", str(directory)]
    printed = subprocess.run([*command, "--print", "--user"], cwd=REPOSITORY, capture_output=True, text=True)
    assert printed.returncode == 0 and "ExecStart=" in printed.stdout and "AllowedCPUs" not in printed.stdout
    (tmp_path / RUN).write_text("mine\n")
    refused = subprocess.run(
        [*command, "--user", "--dir", str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1 and "--force" in refused.stderr
